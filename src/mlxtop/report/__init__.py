"""A recording as one page of HTML that needs nothing else: made to be attached to a bug report."""
