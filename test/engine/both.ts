import assert from 'node:assert/strict'
import type { Checkpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine, type EngineOptions } from '../../src/engine/engine.ts'
import type { EngineSession } from '../../src/engine/session/engine-session.ts'
import { CPU } from '../../src/runtime/device.ts'
import { WEBGPU } from '../../src/runtime/webgpu/platform.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'

const TOLERANCE = 1e-4

/** Random hidden states [tokens, width]. */
export function states(random: () => number, tokens: number, width: number): Tensor {
  return fromFloat32(
    Float32Array.from({ length: tokens * width }, () => 2 * random() - 1),
    [tokens, width],
  )
}

/** A step takes its input's buffer over. */
export function copyOf(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() }
}

export function assertAlike(found: Tensor, expected: Tensor, what: string): void {
  const [a, b] = [asFloat32(found), asFloat32(expected)]
  const error = a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0)
  assert.ok(a.length === b.length && error < TOLERANCE, `${what}: differs by ${error}`)
}

/** The same engine on the CPU and on WebGPU. */
export class Both {
  readonly cpu: Engine
  readonly gpu: Engine

  private constructor(cpu: Engine, gpu: Engine) {
    this.cpu = cpu
    this.gpu = gpu
  }

  static async load(checkpoint: Checkpoint, options: Partial<EngineOptions> = {}): Promise<Both> {
    const common = {
      checkpoint,
      start: 0,
      end: 3,
      dtype: 'float32',
      threads: 1,
      spin: false,
      cacheTokens: 2048,
    } as const
    return new Both(
      await Engine.load({ ...common, ...options, device: CPU }),
      await Engine.load({ ...common, ...options, device: WEBGPU }),
    )
  }

  async open(options: Partial<Parameters<Engine['openSession']>[0]>): Promise<Pair> {
    const { start, end } = this.cpu
    const wanted = { start, end, maxLength: 64, timeoutMs: 0, ...options }
    return new Pair(await this.cpu.openSession(wanted), await this.gpu.openSession(wanted))
  }

  async close(): Promise<void> {
    await this.cpu.close()
    await this.gpu.close()
  }
}

/** The same session on both. */
export class Pair {
  readonly cpu: EngineSession
  readonly gpu: EngineSession

  constructor(cpu: EngineSession, gpu: EngineSession) {
    this.cpu = cpu
    this.gpu = gpu
  }

  async step(hidden: Tensor): Promise<void> {
    const [expected, found] = await Promise.all([this.cpu.step(copyOf(hidden)), this.gpu.step(hidden)])
    assertAlike(found, expected, `${hidden.shape[0]} tokens up to position ${this.cpu.position}`)
  }

  async forkFrom(source: Pair, tokens: number): Promise<void> {
    await Promise.all([this.cpu.forkFrom(source.cpu, tokens), this.gpu.forkFrom(source.gpu, tokens)])
  }

  truncate(position: number): void {
    for (const session of [this.cpu, this.gpu]) session.truncate(position)
  }

  release(): void {
    for (const session of [this.cpu, this.gpu]) session.release()
  }
}
