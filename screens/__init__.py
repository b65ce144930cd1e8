"""The faces of the wizard: Textual screens and plain prompts. No AWS call is made here."""
