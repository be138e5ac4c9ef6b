"""MACE (mace-torch 0.3.16 with e3nn 0.4.4): products of atomic bases, channels shared by orders."""
