package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Recorded
import org.tensorflow.lite.gpu.CompatibilityList

// What the generated code uses of LiteRT 2.x's Kotlin API, on recorded outputs.

enum class Accelerator { NONE, CPU, GPU, NPU }

class LiteRtException(message: String) : Exception(message)

class Environment private constructor() : AutoCloseable {
    fun getAvailableAccelerators(): Set<Accelerator> =
        if (CompatibilityList.supported) setOf(Accelerator.CPU, Accelerator.GPU) else setOf(Accelerator.CPU)

    override fun close() {}

    companion object {
        @JvmStatic
        fun create(): Environment = Environment()
    }
}

class TensorBuffer internal constructor() : AutoCloseable {
    internal var content: ByteArray = ByteArray(0)

    private fun bytes(size: Int, fill: (ByteBuffer) -> Unit) {
        content = ByteBuffer.allocate(size).order(ByteOrder.nativeOrder()).also(fill).array()
    }

    private val view: ByteBuffer
        get() = ByteBuffer.wrap(content).order(ByteOrder.nativeOrder())

    fun writeInt(data: IntArray) = bytes(4 * data.size) { it.asIntBuffer().put(data) }

    fun writeFloat(data: FloatArray) = bytes(4 * data.size) { it.asFloatBuffer().put(data) }

    fun writeInt8(data: ByteArray) = bytes(data.size) { it.put(data) }

    fun writeBoolean(data: BooleanArray) =
        bytes(data.size) { for (each in data) it.put(if (each) 1.toByte() else 0.toByte()) }

    fun writeLong(data: LongArray) = bytes(8 * data.size) { it.asLongBuffer().put(data) }

    fun readInt(): IntArray = view.asIntBuffer().let { IntArray(it.remaining()).also(it::get) }

    fun readFloat(): FloatArray = view.asFloatBuffer().let { FloatArray(it.remaining()).also(it::get) }

    fun readInt8(): ByteArray = content.clone()

    fun readBoolean(): BooleanArray = BooleanArray(content.size) { content[it] != 0.toByte() }

    fun readLong(): LongArray = view.asLongBuffer().let { LongArray(it.remaining()).also(it::get) }

    override fun close() {}
}

class CompiledModel private constructor() : AutoCloseable {
    class Options(internal vararg val accelerators: Accelerator)

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer {
        Recorded.current.inputPlace(inputName)
        return TensorBuffer()
    }

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer {
        Recorded.current.outputPlace(outputName)
        return TensorBuffer()
    }

    fun run(
        inputs: Map<String, TensorBuffer>,
        outputs: Map<String, TensorBuffer>,
        signature: String? = null,
    ) {
        val recorded = Recorded.current
        val given = arrayOfNulls<ByteArray>(inputs.size)
        for ((name, buffer) in inputs) given[recorded.inputPlace(name)] = buffer.content
        val sample = recorded.sampleOf(given)
        for ((name, buffer) in outputs) {
            buffer.content = recorded.nativeOutput(recorded.outputPlace(name), sample)
        }
    }

    override fun close() {}

    companion object {
        @JvmStatic
        @JvmOverloads
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel {
            assetManager.open(assetName).close()
            if (Accelerator.GPU in options.accelerators && !CompatibilityList.supported) {
                throw LiteRtException("there is no GPU accelerator")
            }
            return CompiledModel()
        }
    }
}
