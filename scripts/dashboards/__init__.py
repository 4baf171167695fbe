"""Grafana's dashboards, written into `deploy/grafana/dashboards`: `python -m scripts.dashboards`."""
