"""What all tests share: one thread, so that numbers and times do not depend on the machine's load."""

import torch

torch.set_num_threads(1)
