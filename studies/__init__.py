"""What happened: records, history, the store, and the reports drawn from them."""
