"""From a recipe to a finished run: the loop, and what it steps, saves and distributes with."""
