"""The failover drill: `make drill`. A real Patroni cluster loses its leader while clients refresh through two nodes."""
