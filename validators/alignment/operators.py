"""One vocabulary for the operators of PyTorch, ONNX and TFLite.

A kind says what an operator does to values, not how it is spelled: ``aten.relu_``, ``Relu`` and
``RELU`` are all ``relu``. Operators that only move data are ``movement``; those of them that keep
every element are also in ``BIJECTIVE``.
"""

from __future__ import annotations

# kind → operators by their lower-case names, without domain, namespace, and underscores
_KINDS: dict[str, str] = {
    "conv": "conv conv1d conv2d conv3d convolution depthwiseconv2d convinteger fusedconv",
    "conv_transpose": "convtranspose convtranspose1d convtranspose2d convtranspose3d "
    "transposeconv conv3dtranspose",
    "linear": "linear matmul mm bmm addmm baddbmm gemm fullyconnected batchmatmul einsum dot mv "
    "fusedmatmul bilinear matmulinteger dynamicquantizematmul matmulintegertofloat matmulnbits",
    "attention": "scaleddotproductattention attention multiheadattention",
    "recurrent": "lstm gru rnn rnntanh rnnrelu lstmcell grucell unidirectionalsequencelstm "
    "bidirectionalsequencelstm unidirectionalsequencernn while loop scan",
    "batch_norm": "batchnorm batchnormalization nativebatchnorm",
    "norm": "layernorm layernormalization groupnorm groupnormalization instancenorm "
    "instancenormalization rmsnorm rmsnormalization nativelayernorm nativegroupnorm "
    "l2normalization lpnormalization localresponsenormalization lrn",
    "max_pool": "maxpool1d maxpool2d maxpool3d maxpool adaptivemaxpool1d adaptivemaxpool2d "
    "adaptivemaxpool3d maxpool2dwithindices globalmaxpool reducemax amax max",
    "mean": "avgpool1d avgpool2d avgpool3d averagepool averagepool2d adaptiveavgpool1d "
    "adaptiveavgpool2d adaptiveavgpool3d globalaveragepool mean reducemean",
    "sum": "sum reducesum cumsum",
    "reduce": "reduceprod reducemin reducel2 reducel1 reduceany reduceall amin min prod var std "
    "argmax argmin topk any all logsumexp reducelogsumexp linalgvectornorm norm varmean",
    "embedding": "embedding embeddinglookup embeddingbag",
    "gather": "gather gathernd gatherelements index indexselect takealongdim",
    "resize": "upsamplebilinear2d upsamplenearest2d upsamplenearestexact2d upsamplebicubic2d "
    "upsamplelinear1d upsamplenearest1d resize resizebilinear resizenearestneighbor upsample "
    "interpolate gridsampler gridsample upsampletrilinear3d upsamplenearest3d",
    "add": "add addn", "sub": "sub subtract rsub", "mul": "mul multiply", "div": "div divide",
    "relu": "relu", "relu6": "relu6 hardtanh clamp clip clampmin clampmax relun1to1 relu0to1 "
    "minimum maximum",
    "leaky_relu": "leakyrelu prelu", "gelu": "gelu fastgelu", "silu": "silu swish",
    "hard_swish": "hardswish", "hard_sigmoid": "hardsigmoid", "sigmoid": "sigmoid logistic",
    "tanh": "tanh", "elu": "elu selu celu", "softplus": "softplus", "mish": "mish",
    "softmax": "softmax safesoftmax", "log_softmax": "logsoftmax", "glu": "glu",
    "exp": "exp", "sqrt": "sqrt", "rsqrt": "rsqrt", "pow": "pow square", "erf": "erf",
    "neg": "neg", "abs": "abs", "sin": "sin", "cos": "cos", "log": "log",
    "squared_difference": "squareddifference",
    "transpose": "transpose permute t numpyt swapaxes movedim mt",
    "reshape": "reshape view flatten unflatten squeeze unsqueeze expanddims unsafeview viewas "
    "reshapeas",
    "identity": "identity dropout featuredropout clone contiguous alias detach liftfreshcopy to "
    "tocopy cast castlike float typeas dequantize dequantizelinear quantize quantizelinear "
    "dynamicquantizelinear",
    "movement": "getitem slice stridedslice split splitwithsizes splitv chunk unbind unpack select "
    "narrow "
    "pad padv2 mirrorpad constantpadnd reflectionpad1d reflectionpad2d replicationpad1d "
    "replicationpad2d concat concatenation cat stack pack expand expandas tile broadcastto repeat "
    "repeatinterleave flip reverse reversev2 roll pixelshuffle pixelunshuffle channelshuffle "
    "depthtospace spacetodepth im2col col2im unfold fold spacetobatchnd batchtospacend diagonal "
    "where select selectv2 tril triu indexput scatter scatternd copy slicescatter",
    "shape": "shape size range arange constantofshape fill zeroslike oneslike newones newzeros "
    "full zeros ones fulllike eye scalartensor constant emptylike",
}  # fmt: skip

_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}

BIJECTIVE = frozenset({"transpose", "reshape", "identity"})
MOVEMENT = BIJECTIVE | {"movement", "gather", "shape"}
ACTIVATIONS = frozenset(
    {
        "relu", "relu6", "leaky_relu", "gelu", "silu", "hard_swish", "hard_sigmoid", "sigmoid",
        "tanh", "elu", "softplus", "mish", "softmax", "log_softmax", "glu",
    }
)  # fmt: skip
# what an operator can take into its own weights and bias, or into a fused activation
FOLDABLE = frozenset({"batch_norm", "add", "sub", "mul", "div", "identity"})
# layers that coverage is stated over: what has weights, or is a step of its own in a model's design
COMPUTE = ACTIVATIONS | {
    "conv", "conv_transpose", "linear", "attention", "recurrent", "batch_norm", "norm", "max_pool",
    "mean", "sum", "embedding", "resize", "add", "sub", "mul", "div", "exp", "sqrt", "rsqrt",
    "pow", "erf", "reduce",
}  # fmt: skip


def kind_of(operator: str) -> str:
    """Return the kind of an operator.

    Args:
        operator: ``aten.conv2d``, ``aten.relu_``, ``Conv``, ``DEPTHWISE_CONV_2D``.

    Returns:
        A kind of the vocabulary; for an operator that is not in it, its plain name.
    """
    plain = operator.rpartition(".")[2].replace("_", "").lower()
    if plain not in _KIND_OF:  # ONNX's operators on integers: QLinearConv, QGemm
        plain = plain.removeprefix("qlinear" if plain.startswith("qlinear") else "q")
    return _KIND_OF.get(plain, plain)
