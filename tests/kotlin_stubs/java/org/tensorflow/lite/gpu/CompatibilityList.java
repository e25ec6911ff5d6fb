package org.tensorflow.lite.gpu;

import java.io.Closeable;

public class CompatibilityList implements Closeable {
    public static boolean supported = true;

    public boolean isDelegateSupportedOnThisDevice() {
        return supported;
    }

    @Override
    public void close() {}
}
