"""What checks content: rules that run here, and models that are served."""
