"""Settings, losses and lists of images from files that are damaged, hostile or wrong."""

import re
from pathlib import Path

from bad_table import CANARY, add


def _text(content: str | bytes, name: str = "a.yaml"):
    def make(folder: Path) -> Path:
        text = content if isinstance(content, bytes) else content.replace("CANARY", str(folder / CANARY)).encode()
        (folder / name).write_bytes(text)
        return folder / name

    return make


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
CONFIGS = ("config", "recipe", "losses")
NOT_SETTINGS = "cannot be read|must hold|not settings|is not|no loss|names no"
for what, content in {
    "a config of garbage bytes": bytes(range(128, 256)),
    "a config with a zero byte": b"steps: 3\0",
    "a config cut off": 'loss: {class_path: "crispmap.Dice',
    "a config of a list": "- 1\n- 2\n",
    "a config of a number": "5",
    "a config of tabs": "a:\n\tb: 1",
    "a config of two documents": "steps: 1\n---\nsteps: 2\n",
    "a config with a Python tag that calls": '!!python/object/apply:os.system ["touch CANARY"]',
    "a config with a Python tag inside": 'loss: !!python/object/apply:os.system ["touch CANARY"]\n',
    "a config with a Python tag that makes": "steps: !!python/object/new:os.system [touch CANARY]\n",
    "a config with a Python name": "loss: !!python/name:os.system\n",
    "a config with a tag of nobody": "steps: !mine 3\n",
    "a YAML bomb": BOMB,
    "a YAML bomb as the loss": BOMB + "loss: *j\n",
    "a YAML bomb as the trainer": BOMB + "trainer: {x: *j}\n",
    "a YAML that holds itself": "trainer: &a {x: *a}\n",
    "a config of a thousand brackets": "loss: " + "[" * 1000 + "]" * 1000,
    "a config of a hundred thousand brackets": "[" * 100_000,
    "a config of ten megabytes": "steps: 1 # " + "x" * 10_000_000,
    "a config whose key is a list": "? [a, b]\n: 1\n",
    "a config of numbers as keys": "1: 2\n3: 4\n",
}.items():
    add(what, CONFIGS, _text(content), ".")
add(
    "an empty config",
    ("config", "recipe"),
    _text(""),
    "is required|missing|holds no settings|.",
    {"reproduce": "nothing of INRIA"},
)
add("an empty file of losses", "losses", _text(""), "must hold")

PROCESS = "{class_path: subprocess.Popen, init_args: {args: [touch, CANARY]}}"
for what, content in {
    "an unknown setting": "stepz: 3\n",
    "steps in words": "steps: many\n",
    "steps of a list": "steps: [1, 2]\n",
    "steps of a number too large": f"steps: {10**400}\n",
    "steps below none": "steps: -3\n",
    "steps of no number": "steps: .nan\n",
    "an endless scale": "scale: .inf\n",
    "a scale of no number": "scale: .nan\n",
    "a window of a negative size": "data: {window: -256}\n",
    "a window of a huge size": "data: {window: 1000000000000}\n",
    "a batch of none": "data: {batch_size: 0}\n",
    "workers below none": "data: {workers: -1}\n",
    "an unknown setting of data": "data: {windoww: 256}\n",
    "data of a word": "data: yes please\n",
    "an architecture that is not there": "model: {architecture: os}\n",
    "an encoder that is not there": "model: {encoder: ../../etc/passwd}\n",
    "an encoder from the network": "model: {encoder: 'tu-hf-hub:nobody/nothing'}\n",
    "decoder channels of words": "model: {decoder_channels: [wide, wider]}\n",
    "decoder channels below none": "model: {decoder_channels: [-8, -8, -8, -8, -8]}\n",
    "a learning rate of no number": "optim: {learning_rate: .nan}\n",
    "a trainer argument that is not there": "trainer: {bogus: 1}\n",
    "a device that is not there": "trainer: {accelerator: quantum}\n",
    "a precision that is not there": "trainer: {precision: 7}\n",
    "callbacks by class path": "trainer: {callbacks: [{class_path: os.system}]}\n",
    "a trainer argument by class path": f"trainer: {{precision: {PROCESS}}}\n",
    "a trainer argument by class path in text": f"trainer: '{{precision: {PROCESS}}}'\n",
    "data by class path": f"data: {PROCESS}\n",
    "a dataset by class path": f"dataset: {PROCESS}\n",
    "losses by class path in text": f"losses: '{{a: {PROCESS}}}'\n",
    "losses by class path": f"losses: {{a: {PROCESS}}}\n",
    "losses with a number for a name": "losses: {1: bce}\n",
    "seeds without end": "seeds: 1000000000000\n",
    "a setting of the parser's own": "data: {__path__: a.yaml}\n",
    "a logger of its own": "trainer: {logger: {CSVLogger: {save_dir: CANARY}}}\n",
    "a logger of its own by a name with dots": "trainer.logger: CSVLogger\n",
    "a config that names another config": "config: a.yaml\n",
    "a config that trusts itself": "trust: true\n",
}.items():
    says = "|".join(re.findall(r"(\w+):", content))  # the setting is named
    # what only training finds out, a recipe does not come to without its data
    add(what, ("config", "recipe"), _text(content), says, {"reproduce": f"{says}|nothing of INRIA"})

add("a scale of four hundred digits", ("config", "recipe"), _text(f"scale: 1{400 * '0'}\n"), "too large")


def _mixture(boundary: str) -> str:
    return f"{{class_path: crispmap.MixedLoss, init_args: {{boundary: {boundary}}}}}"


for what, content in {
    "a loss that is not there": "crispmap.NoLoss",
    "a loss of the operating system": "os.system",
    "a loss that is a process": PROCESS,
    "a loss from a module of a stranger": "evil_module.Loss",
    "a loss that is no loss": "torch.nn.Linear",
    "a loss with unknown arguments": "{class_path: crispmap.DiceLoss, init_args: {bogus: 1}}",
    "a loss with wrong arguments": "{class_path: crispmap.BoundaryLoss, init_args: {theta: wide}}",
    "a loss of a number": "5",
    "a loss of a list": "[crispmap.DiceLoss]",
    "a loss with a stranger inside": _mixture("{class_path: evil_module.Loss}"),
    "a loss with a stranger as a name": _mixture("evil_module.Loss"),
    "a loss with a stranger in text": _mixture("'{class_path: evil_module.Loss}'"),
    "a loss with a function of the system": (
        "{class_path: torch.nn.TripletMarginWithDistanceLoss, init_args: {distance_function: os.system}}"
    ),
    "a loss through a module of torch": "torch.serialization.os.system",
    "a loss that loads a file": "{class_path: torch.jit.load, init_args: {f: evil.pt}}",
}.items():
    add(what, ("config", "recipe"), _text(f"loss: {content}\n"), "loss")
    add(f"{what}, in a file of losses", "losses", _text(f"mine: {content}\n"), "loss")
for what, content in {"losses of a word": "bce", "a loss called ../up": "../up: crispmap.DiceLoss\n"}.items():
    add(what, "losses", _text(content), "must hold a class path|need names")

for what, content in {
    "a list of images that is empty": "",
    "a list of images of garbage bytes": bytes(range(128, 256)),
    "a list of images that are not there": "no.tif\nnor.tif\n",
    "a list of images with a zero byte": "a\0b.tif\n",
    "a list that names itself": "a.txt\n",
    "a list of images on the network": "http://127.0.0.1:9/a.tif\n",
}.items():
    add(what, "list", _text(content, "a.txt"), "names no images|not text|not found|cannot be read")
