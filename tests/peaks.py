"""Gives this process MLX's own functions back."""


def remove_step_peaks() -> None:
    # Here, so that a test of code without MLX does not wait for it.
    from mlxtop.mlx import step_peaks

    while step_peaks.installed is not None:
        step_peaks.installed.remove()
    step_peaks.own = None
