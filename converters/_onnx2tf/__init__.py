"""What the hops of onnx2tf are made of: preparing, running, tracing, and finding the layers."""
