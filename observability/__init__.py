"""What watches a running Sluice: rules, dashboard, and the containers of both."""
