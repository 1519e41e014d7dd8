"""Makes `grafana/dashboards/mlxtop.json` from the metrics that mlxtop declares."""
