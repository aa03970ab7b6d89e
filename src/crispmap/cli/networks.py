"""``crispmap networks``: the family of networks by name, and what each costs."""

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser
from crispmap.errors import SettingError
from crispmap.settings import NETWORKS

_EXAMPLE = """
crispmap networks
crispmap networks --bands 4 --side 1024
crispmap fit --network unet-vgg16 …
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "networks",
        "Lists the networks that `crispmap fit --network NAME` takes, with millions of parameters and billions of "
        "multiply-adds of one pass forward over one image (convolutions, matrix products and attention).",
        _EXAMPLE,
    )
    parser.add_argument("--bands", type=int, default=3, help="of the image")
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels; a multiple of 32")
    return parser


def run(args: Namespace) -> None:
    """Counts, and prints a line for each network."""
    if args.bands < 1:
        raise SettingError(f"--bands is {args.bands}; it must be at least 1")
    if args.side < 32 or args.side % 32:
        raise SettingError(f"--side is {args.side}; it must be a multiple of 32")

    from crispmap.networks import network_cost

    names = max(map(len, NETWORKS))
    encoders = max(len(network.encoder) for network in NETWORKS.values())
    print(f"{'network':<{names}}  architecture  {'encoder':<{encoders}}  parameters  multiply-adds")
    for name, network in NETWORKS.items():
        cost = network_cost(network, bands=args.bands, side=args.side)
        print(
            f"{name:<{names}}  {network.architecture:<12}  {network.encoder:<{encoders}}  "
            f"{cost.parameters / 1e6:>8.1f} M  {cost.multiply_adds / 1e9:>11.1f} G"
        )
