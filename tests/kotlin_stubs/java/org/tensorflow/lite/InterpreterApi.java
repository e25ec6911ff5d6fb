package org.tensorflow.lite;

public interface InterpreterApi extends AutoCloseable {
    /** LiteRT's own class gives back this type, and not that of Interpreter.Options. */
    class Options {
        public Options setUseXNNPACK(boolean use) {
            return this;
        }

        public Options setNumThreads(int threads) {
            return this;
        }

        public Options addDelegate(Delegate delegate) {
            return this;
        }
    }
}
