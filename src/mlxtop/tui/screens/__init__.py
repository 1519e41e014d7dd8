"""The screens: the dashboard, and what opens over it."""
