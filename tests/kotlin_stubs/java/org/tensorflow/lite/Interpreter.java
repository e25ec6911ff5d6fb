package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import org.checkerframework.checker.nullness.qual.NonNull;

/** Gives the outputs that were recorded for the inputs that it gets. */
public final class Interpreter implements InterpreterApi {
    private final Recorded recorded;
    private boolean closed;

    public static class Options extends InterpreterApi.Options {}

    public Interpreter(@NonNull ByteBuffer model, Options options) {
        if (!model.isDirect() || model.get(4) != 'T' || model.get(5) != 'F') {
            throw new IllegalArgumentException("not the mapped file of a model");
        }
        recorded = Recorded.current;
    }

    public int getInputTensorCount() {
        return recorded.inputs.length;
    }

    public Tensor getInputTensor(int place) {
        return recorded.inputs[place];
    }

    public Tensor getOutputTensor(int place) {
        return recorded.outputs[place];
    }

    /** Reads whole direct buffers, and writes from their positions on, as LiteRT does. */
    public void runForMultipleInputsOutputs(
            @NonNull Object @NonNull [] inputs, @NonNull Map<Integer, Object> outputs) {
        if (closed) throw new IllegalStateException("the Interpreter was closed");
        byte[][] given = new byte[inputs.length][];
        for (int place = 0; place < inputs.length; place++) {
            given[place] = bytes((ByteBuffer) inputs[place], recorded.inputs[place].numBytes());
        }
        int sample = recorded.sampleOf(given);
        for (Map.Entry<Integer, Object> entry : outputs.entrySet()) {
            ByteBuffer buffer = direct((ByteBuffer) entry.getValue());
            buffer.put(recorded.nativeOutput(entry.getKey(), sample));
        }
    }

    private static byte[] bytes(ByteBuffer buffer, int wanted) {
        if (direct(buffer).capacity() != wanted) {
            throw new IllegalArgumentException("an input has " + buffer.capacity() + " bytes");
        }
        byte[] content = new byte[wanted];
        for (int place = 0; place < wanted; place++) content[place] = buffer.get(place);
        return content;
    }

    private static ByteBuffer direct(ByteBuffer buffer) {
        if (!buffer.isDirect() || buffer.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException("a buffer is not direct or not in native order");
        }
        return buffer;
    }

    @Override
    public void close() {
        closed = true;
    }
}
