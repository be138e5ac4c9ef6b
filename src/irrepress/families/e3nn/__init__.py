"""What the families that are built on e3nn share: SevenNet and MACE."""
