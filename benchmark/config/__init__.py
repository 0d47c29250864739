"""The one file of knobs, cells, folders, digests, backbones."""
