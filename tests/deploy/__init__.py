"""What is shipped in ``deploy/`` works, as far as can be shown without a container engine."""
