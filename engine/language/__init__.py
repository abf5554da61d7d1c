"""What people write a rule with, word by word; ``engine.rules`` and its neighbours hand it out."""
