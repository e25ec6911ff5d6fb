package org.tensorflow.lite;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.json.JSONArray;
import org.json.JSONObject;

/** Inputs, and what a model gave for them: files that a folder's stub.json lists. */
public final class Recorded {
    public static Recorded current;

    final Recording[] inputs;
    final Recording[] outputs;

    static final class Recording implements Tensor {
        final String name;
        final int[] shape;
        final int width;
        final byte[][] samples;

        Recording(Path folder, JSONObject entry) throws IOException {
            name = entry.getString("name");
            JSONArray sizes = entry.getJSONArray("shape");
            shape = new int[sizes.length()];
            for (int axis = 0; axis < shape.length; axis++) shape[axis] = sizes.getInt(axis);
            width = entry.getInt("width");
            JSONArray files = entry.getJSONArray("files");
            samples = new byte[files.length()][];
            for (int sample = 0; sample < samples.length; sample++) {
                samples[sample] = Files.readAllBytes(folder.resolve(files.getString(sample)));
            }
        }

        @Override
        public int[] shape() {
            return shape;
        }

        @Override
        public int numBytes() {
            return samples[0].length;
        }
    }

    public Recorded(Path folder) throws IOException {
        String text = new String(Files.readAllBytes(folder.resolve("stub.json")), "UTF-8");
        JSONObject index = new JSONObject(text);
        inputs = side(folder, index.getJSONArray("inputs"));
        outputs = side(folder, index.getJSONArray("outputs"));
    }

    private static Recording[] side(Path folder, JSONArray entries) throws IOException {
        Recording[] made = new Recording[entries.length()];
        for (int place = 0; place < made.length; place++) {
            made[place] = new Recording(folder, entries.getJSONObject(place));
        }
        return made;
    }

    /** The sample whose inputs these are, bit for bit. */
    public int sampleOf(byte[][] given) {
        for (int sample = 0; sample < inputs[0].samples.length; sample++) {
            boolean same = true;
            for (int place = 0; place < inputs.length; place++) {
                same &= Arrays.equals(given[place], nativeOrder(inputs[place], sample));
            }
            if (same) return sample;
        }
        throw new IllegalStateException("these are the inputs of no sample");
    }

    public byte[] nativeOutput(int place, int sample) {
        return nativeOrder(outputs[place], sample);
    }

    public int inputPlace(String name) {
        return place(inputs, name);
    }

    public int outputPlace(String name) {
        return place(outputs, name);
    }

    private static int place(Recording[] side, String name) {
        for (int place = 0; place < side.length; place++) {
            if (side[place].name.equals(name)) return place;
        }
        throw new IllegalArgumentException("there is no tensor " + name);
    }

    private static byte[] nativeOrder(Recording tensor, int sample) {
        byte[] content = tensor.samples[sample].clone();
        if (ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN) return content;
        ByteBuffer turned = ByteBuffer.allocate(content.length);
        for (int start = 0; start < content.length; start += tensor.width) {
            for (int place = tensor.width - 1; place >= 0; place--) turned.put(content[start + place]);
        }
        return turned.array();
    }
}
