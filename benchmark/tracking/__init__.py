"""MLflow and the journals that feed it, figures, the environment."""
