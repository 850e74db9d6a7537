"""What precision buys a network: downloaded weights against levels, fluctuation and wires."""
