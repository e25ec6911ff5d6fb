"""What the direct compiler promises at the boundary: names, types, layouts, options, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from compile_torch import partitions, sqnr
from tflite_nets import Attention, Calls, Classifier, convert, follows, passed, run, why_not
from torch import nn
from typer.testing import CliRunner

import bridge
from bridge.artifact import Artifact
from bridge.cli.convert import convert as convert_command
from bridge.errors import UsageError

X, Y = torch.randn(2, 4), torch.randn(2, 4)
LONG = torch.tensor([1, -5, 2**20])
TYPES = {
    "flag": torch.tensor([True, False, True]),
    "byte": torch.tensor([1, 5, 255], dtype=torch.uint8),
    "long": LONG,
}
IMAGES = {
    "left": torch.randn(1, 3, 6, 7),
    "right": torch.randn(1, 3, 6, 7),
    "vector": torch.randn(1, 5),
}


def io(artifact: Artifact) -> tuple[list[str], list[str]]:
    """Inputs and outputs as the file itself has them, which must be what the artifact says."""
    found = bridge.inspect(artifact.path).signature
    told = artifact.signature
    assert [str(each) for each in found.inputs] == [str(each) for each in told.inputs]
    assert [str(each) for each in found.outputs] == [str(each) for each in told.outputs]
    return [str(each) for each in told.inputs], [str(each) for each in told.outputs]


def command(*arguments: str) -> tuple[int, str]:
    """``driftbridge convert`` with these arguments: exit code and what it printed."""
    app = typer.Typer()
    app.command()(convert_command)
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return done.exit_code, done.output


class TestNames:
    """Inputs and outputs of any structure."""

    def test_nested_inputs_and_outputs_and_keywords(self, tmp_path: Path) -> None:
        class Nested(nn.Module):
            def forward(self, x: Any, pair: Any, *, scale: Any, option: Any = None) -> Any:
                y = torch.relu(x) + pair[1]["w"]
                return {"main": (y, {"sum": y + pair[0]}), "aux": [y * scale]}

        inputs = {"scale": torch.tensor(2.0), "x": X, "pair": (Y, {"w": X[0]})}
        result = convert(Nested(), inputs, tmp_path)
        flat = {"x": X, "pair_0": Y, "pair_1_w": X[0], "scale": torch.tensor(2.0)}
        assert io(follows(result, flat)) == (
            [
                "x: float32[2x4]",
                "pair_0: float32[2x4]",
                "pair_1_w: float32[4]",
                "scale: float32[scalar]",
            ],
            ["main_0: float32[2x4]", "main_1_sum: float32[2x4]", "aux_0: float32[2x4]"],
        )

    def test_outputs_that_are_one_another_an_input_a_constant_or_a_view(
        self, tmp_path: Path
    ) -> None:
        def forward(linear: nn.Linear, x: Any, y: Any) -> Any:
            a = linear(x)
            return a, a, x, torch.arange(3.0), a.view(2, 2, 2), a.relu() + 1, a.t(), a[0, 0], x[1]

        result = convert(Calls(forward), (X, Y), tmp_path)
        inputs, outputs = io(follows(result, {"x": X, "y": Y}))
        assert inputs == ["x: float32[2x4]", "y: float32[2x4]"], "an unused input stays"
        assert [each.partition(":")[0] for each in outputs] == [f"output_{i}" for i in range(9)]

    def test_only_inputs_or_only_a_constant(self, tmp_path: Path) -> None:
        same = convert(Calls(lambda linear, x, y: (y, x, y)), (X, Y), tmp_path / "same")
        follows(same, {"x": X, "y": Y})
        fixed = convert(Calls(lambda linear, x, y: torch.eye(3)), (X, Y), tmp_path / "fixed")
        follows(fixed, {"x": X, "y": Y})

    def test_an_output_in_the_middle_is_not_fused_away(self, tmp_path: Path) -> None:
        class Middle(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3, padding=1)
                self.norm = nn.BatchNorm2d(4)
                self.last = nn.Conv2d(4, 4, 1)

            def forward(self, x: torch.Tensor) -> Any:
                y = self.conv(x)
                z = self.norm(y)
                return {"raw": y, "relu": z.relu(), "last": self.last(z.relu()), "norm": z}

        x = torch.randn(1, 3, 6, 6)
        follows(convert(Middle(), (x,), tmp_path), {"x": x})

    def test_tensors_without_axes(self, tmp_path: Path) -> None:
        def forward(linear: nn.Linear, x: Any, y: Any) -> Any:
            return x + y, (x * y).sum(), x.reshape(()), y.mean()

        a, b = torch.tensor(1.5), torch.tensor(-2.5)
        assert io(follows(convert(Calls(forward), (a, b), tmp_path), {"x": a, "y": b})) == (
            ["x: float32[scalar]", "y: float32[scalar]"],
            [f"output_{i}: float32[scalar]" for i in range(4)],
        )

    def test_tensors_are_named_after_their_modules(self, tmp_path: Path) -> None:
        result = convert(Classifier(), (torch.randn(1, 3, 32, 32),), tmp_path)
        places = result.artifacts["tflite"].layer_map.mapped()
        assert places["relu"].tensor == "stem.2/relu"
        assert places["conv2d_1"].tensor == "depthwise/conv2d_1"
        assert places["linear"].tensor == "logits"

    def test_the_least_runtime_is_written_into_the_file(self, tmp_path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema

        result = convert(Attention(), (torch.randn(1, 5, 16),), tmp_path)
        content = result.artifacts["tflite"].path.read_bytes()
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        written = {each.name: model.buffers[each.buffer] for each in model.metadata}
        least = written[b"min_runtime_version"]
        version = bytes(least.data) if least.data is not None else content[least.offset :][:16]
        assert version.rstrip(b"\0").decode().startswith("2.")


class TestTypes:
    """Element types at the boundary and inside."""

    class Types(nn.Module):
        def forward(self, flag: Any, byte: Any, long: Any) -> Any:
            return {
                "chosen": torch.where(flag, long, -long),
                "scaled": byte.float() / 255,
                "large": byte > 3,
                "same": byte,
                "not": ~flag,
                "double": long.double(),
                "low": long.to(torch.uint8),
            }

    def test_each_type_is_what_it_becomes_and_the_rest_is_said(self, tmp_path: Path) -> None:
        result = convert(self.Types(), TYPES, tmp_path)
        inputs, outputs = io(follows(result, TYPES))
        assert inputs == ["flag: bool[3]", "byte: uint8[3]", "long: int32[3]"]
        assert outputs == [
            "chosen: int32[3]",
            "scaled: float32[3]",
            "large: bool[3]",
            "same: uint8[3]",
            "not: bool[3]",
            "double: float32[3]",
            "low: uint8[3]",
        ]
        assert result.artifacts["tflite"].notes == (
            "long is int32 in the file and int64 in the model",
            "chosen is int32 in the file and int64 in the model",
            "double is float32 in the file and float64 in the model",
            "the file computes in float32 where the model does in float64",
        )

    def test_int64_is_kept_at_the_boundary_on_request(self, tmp_path: Path) -> None:
        class Keep(nn.Module):
            def forward(self, x: Any) -> Any:
                return x * 2, x, (x > 0).sum()

        passed(convert(Keep(), (LONG,), tmp_path, keep_int64=True, validate=True))
        result = convert(Keep(), (LONG,), tmp_path, keep_int64=True)
        artifact = follows(result, {"x": LONG})
        assert {spec.dtype for spec in artifact.signature.outputs} == {"int64"}
        assert artifact.signature.inputs[0].dtype == "int64"
        assert artifact.notes == ()

    @pytest.mark.parametrize(
        ("forward", "place"),
        [
            (lambda linear, x, y: x * 2**40, "aten.mul (used 1×) first at"),
            (lambda linear, x, y: x + torch.tensor([1, 2**33, 0]), "aten.add (used 1×) first at"),
            (lambda linear, x, y: (x, torch.tensor([1, -(2**33)])), "output output_1"),
        ],
    )
    def test_an_integer_beyond_32_bits_is_refused(
        self, forward: Any, place: str, tmp_path: Path
    ) -> None:
        told = why_not(convert(Calls(forward), (LONG, LONG), tmp_path))
        assert place in told
        assert "does not fit into 32 bits" in told

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_float32_and_that_is_said(
        self, dtype: torch.dtype, tmp_path: Path
    ) -> None:
        class Half(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(4, 4).to(dtype)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.linear(x.to(dtype)).float()

        # in these both the cast and the sums are exact
        module, x = Half(), X.round()
        with torch.no_grad():
            module.linear.weight.round_()
            module.linear.bias.round_()
        artifact = follows(convert(module, (x,), tmp_path), {"x": x})
        name = str(dtype).removeprefix("torch.")
        assert f"the file computes in float32 where the model does in {name}" in artifact.notes

    def test_a_whole_model_in_half_precision_takes_float32(self, tmp_path: Path) -> None:
        x = torch.randn(1, 3, 32, 32).half()
        result = passed(convert(Classifier().half(), (x,), tmp_path, validate=True))
        assert result.artifacts["tflite"].signature.inputs[0].dtype == "float32"

    def test_complex_numbers_are_refused_wherever_they_are(self, tmp_path: Path) -> None:
        class Spectrum(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.linalg.eigvals(x[:, :2]).abs()

        told = why_not(convert(Spectrum(), (X,), tmp_path))
        assert "aten.linalg_eigvals (used 1×) first at" in told
        z = torch.complex(X, Y)
        told = why_not(convert(Calls(lambda linear, x, y: x.abs() + y), (z, Y), tmp_path))
        assert "input x (used 1×): TFLite has no operators on complex64" in told


class Wide(nn.Module):
    """Convolutions with enough weights for the size of a file to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, 2, 1, groups=64),
            nn.Conv2d(64, 128, 3, 2, 1),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(128, 100),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image)


class TestPrecision:
    """``--precision``."""

    def test_half_the_bytes_for_the_same_graph_to_the_rounding_of_the_weights(
        self, tmp_path: Path
    ) -> None:
        module, image = Wide().eval(), torch.randn(1, 3, 32, 32)
        whole = convert(module, (image,), tmp_path / "32").artifacts["tflite"]
        result = convert(module, (image,), tmp_path / "16", precision="fp16", validate=True)
        half = passed(result).artifacts["tflite"]
        assert half.precision == "float16"
        assert 0.5 < half.size / whole.size < 0.52
        assert io(half) == io(whole)
        assert partitions(half.path).count("DELEGATE") == 1
        kinds = [each for each in partitions(half.path) if each != "DEQUANTIZE"]
        assert kinds == partitions(whole.path)
        (exact,) = run(whole.path, {"image": image}, plain=False).values()
        for plain in (False, True):
            (rounded,) = run(half.path, {"image": image}, plain=plain).values()
            # six layers of weights, each rounded to 11 bits
            assert 60 < sqnr(exact, rounded) < 90

    def test_weights_that_were_half_lose_nothing(self, tmp_path: Path) -> None:
        module = nn.Linear(64, 64).half().float()
        x = torch.randn(1, 64)
        whole = convert(module, (x,), tmp_path / "32").artifacts["tflite"]
        half = convert(module, (x,), tmp_path / "16", precision="fp16").artifacts["tflite"]
        for plain in (False, True):
            one, other = (run(each.path, {"input": x}, plain=plain) for each in (whole, half))
            np.testing.assert_array_equal(one["output"], other["output"])

    def test_fp32_is_the_default(self, tmp_path: Path) -> None:
        files = [
            convert(nn.Linear(4, 4), (X,), tmp_path / str(each), precision=each)
            for each in ("fp32", None)
        ]
        one, other = ([*partitions(each.artifacts["tflite"].path)] for each in files)
        assert one == other


class TestLayout:
    """``--io-layout``."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3, padding=1)
            self.b = nn.Conv2d(3, 4, 3, padding=1)
            self.c = nn.Linear(5, 5)

        def forward(self, left: Any, right: Any, vector: Any) -> Any:
            return {"sum": (self.a(left) + self.b(right)).relu(), "vector_out": self.c(vector)}

    @pytest.mark.parametrize(
        ("asked", "transposes", "moved"),
        [
            (["nhwc"], 0, {"left", "right", "sum"}),
            (["left=nhwc"], 2, {"left"}),
            (["left=nhwc", "sum=nhwc"], 1, {"left", "sum"}),
            (["nhwc", "left=nchw"], 1, {"right", "sum"}),
            (["left=nchw", "nhwc"], 1, {"right", "sum"}),
            (["nchw"], 3, set()),
        ],
    )
    def test_each_input_and_output_lies_as_asked(
        self, asked: list[str], transposes: int, moved: set[str], tmp_path: Path
    ) -> None:
        result = convert(self.Two(), IMAGES, tmp_path, io_layout=asked)
        artifact = result.artifacts["tflite"]
        signature = artifact.signature
        for spec in (*signature.inputs, *signature.outputs):
            assert (spec.layout == "NHWC") == (spec.name in moved)
            assert spec.permutation == ((0, 2, 3, 1) if spec.name in moved else None)
        assert partitions(artifact.path).count("TRANSPOSE") == transposes
        inputs, _ = io(artifact)
        assert inputs[0] == f"left: float32[{'1x6x7x3' if 'left' in moved else '1x3x6x7'}]"

    def test_a_network_without_transposes_is_validated(self, tmp_path: Path) -> None:
        x = torch.randn(1, 3, 32, 32)
        result = convert(Classifier(), (x,), tmp_path, io_layout=["nhwc"], validate=True)
        artifact = passed(result).artifacts["tflite"]
        assert "TRANSPOSE" not in partitions(artifact.path)
        assert io(artifact)[1] == ["logits: float32[1x5]", "map: float32[1x16x16x8]"]


class TestRefusals:
    """Options and operators that cannot be honoured."""

    INPUT = ("--input", "input=2x4")

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--precision", "fp8", "--precision fp8 is not known"),
            ("--io-layout", "nwhc", "--io-layout nwhc is not known"),
            ("--io-layout", "input=", "--io-layout input= is not known"),
            ("--io-layout", "image=nhwc", "the model has no input or output 'image'"),
            ("--io-layout", "input=nhwc", "input: float32[2x4] does not have four axes"),
        ],
    )
    def test_a_wrong_value_is_wrong_usage(
        self, option: str, value: str, message: str, tmp_path: Path
    ) -> None:
        source = f"{Path(__file__).parent / 'sources.py'}:linear"
        code, printed = command(
            source, "--to", "tflite", "--out", str(tmp_path / "out"), *self.INPUT, option, value
        )
        assert code == 64
        assert message in printed
        assert not list(tmp_path.glob("out/*"))

    def test_a_wrong_value_is_an_exception_of_the_api(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--precision int8 is not known"):
            convert(nn.Linear(4, 4), (X,), tmp_path, precision="int8")

    @pytest.mark.parametrize(
        "option",
        [{"precision": "fp16"}, {"keep_int64": True}, {"unroll": 3}],
    )
    def test_a_route_that_would_ignore_an_option_refuses(
        self, option: dict[str, Any], tmp_path: Path
    ) -> None:
        result = convert(nn.Linear(4, 4), (X,), tmp_path, route="onnx2tf-tflite", **option)
        ((_, (outcome,)),) = result.conversions[0].routes
        assert (outcome.subject, str(outcome.symptom)) == ("onnx2tf-tflite", "unsupported")
        name = "--" + next(iter(option)).replace("_", "-")
        assert outcome.detail == f"it does not take {name}"
        assert result.exit_code == 2

    def test_all_unsupported_operators_are_listed_and_the_fallback_is_tried(
        self, tmp_path: Path
    ) -> None:
        def forward(linear: nn.Linear, x: Any, y: Any) -> Any:
            bessel = torch.special.bessel_j0(x) + torch.special.bessel_j0(y)
            return torch.special.airy_ai(bessel) + nn.functional.dropout(x, training=False)

        result = convert(Calls(forward), (X, Y), tmp_path, route=None)
        direct, fallback = result.conversions[0].routes
        assert direct[0] == "torch-export/tflite-direct"
        assert fallback[0] == "torch-export/torch-onnx/onnxsim/onnx2tf-tflite"
        outcome = direct[1][-1]
        assert (str(outcome.stage), str(outcome.symptom)) == ("lower", "unsupported")
        here = Path(__file__).name
        lines = [line.strip() for line in outcome.detail.splitlines()]
        assert lines[0] == "exported → tflite supports all but 2 operator(s):"
        assert lines[1].startswith("- aten.special_bessel_j0 (used 2×) first at ")
        assert lines[2].startswith("- aten.special_airy_ai (used 1×) first at ")
        assert here in lines[1]
        assert lines[1].endswith(": there is no lowering for it")
        assert [each.subject for each in fallback[1]] == [
            "torch-export", "torch-onnx", "onnxsim", "onnx2tf-tflite",
        ]  # fmt: skip
        assert result.exit_code == 2

    def test_what_a_lowering_cannot_honour_has_a_hint(self, tmp_path: Path) -> None:
        def forward(linear: nn.Linear, x: Any, y: Any) -> Any:
            return nn.functional.scaled_dot_product_attention(x, y, y, dropout_p=0.25)

        x = torch.randn(1, 2, 4)
        program = torch.export.export(Calls(forward).eval(), (x, x))
        torch.export.save(program, tmp_path / "dropout.pt2")
        told = why_not(convert(tmp_path / "dropout.pt2", None, tmp_path / "out"))
        assert "dropout_p=0.25 is not supported (call .eval() on the module, or pass 0)" in told
