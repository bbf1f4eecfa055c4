import torch
from diffusers.training_utils import EMAModel
from torch import nn

from pipeline.training.averaged_weights import AveragedWeights


def test_it_follows_as_that_of_diffusers_does() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    ours = AveragedWeights(network, decay=0.6)
    theirs = EMAModel(network.parameters(), decay=0.6)
    for _ in range(20):  # the cap is reached after 13
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        ours.update()
        theirs.step(network.parameters())
    assert ours.updates == 20
    for own, other in zip(ours.tensors().values(), theirs.shadow_params, strict=True):
        torch.testing.assert_close(own, other)


def test_in_place_gives_the_weights_back() -> None:
    network = nn.Linear(3, 2)
    before = network.weight.detach().clone()
    average = AveragedWeights(network, decay=0.9)
    with torch.no_grad():
        network.weight.add_(1)
    with average.in_place() as averaged:
        assert not averaged.training
        assert torch.equal(averaged.weight, before)
    assert torch.equal(network.weight, before + 1)


def test_restored_averages_go_on_alike() -> None:
    networks = [nn.Linear(2, 2) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    first, second = (AveragedWeights(network, decay=0.9) for network in networks)
    for _ in range(3):
        with torch.no_grad():
            networks[0].weight.add_(1)
        first.update()
    second.restore({name: tensor.clone() for name, tensor in first.tensors().items()}, 3)
    for average, network in zip((first, second), networks, strict=True):
        with torch.no_grad():
            network.weight.fill_(5)
            network.bias.fill_(5)
        average.update()
    for name, tensor in first.tensors().items():
        assert torch.equal(tensor, second.tensors()[name])
