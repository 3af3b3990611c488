"""Language models, asked over real HTTP: what a provider may answer, and what never comes of it."""
