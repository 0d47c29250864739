"""Getting the data: manifests, downloads, verification, the hub, the sample corpus, features."""
