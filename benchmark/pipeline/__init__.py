"""The stages of dvc.yaml: what each of their instances depends on."""
