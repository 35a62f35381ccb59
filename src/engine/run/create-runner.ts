import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Environment } from '../../runtime/environment.ts'
import { recordsSteps } from '../plan/run-limits.ts'
import type { SpanGraphs } from './device-runner.ts'
import type { RunnerSpan } from './runner-span.ts'
import { type Runner, CpuRunner } from './runner.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import type { SchedulerLimits } from '../schedule/scheduler.ts'

/** What runs a span's rows: block by block on a CPU, all blocks at once where the weights lie on a device. */
export async function createRunner(
  env: Environment,
  config: ModelConfig,
  { span, memory, limits }: { span: RunnerSpan; memory: RowMemory; limits: SchedulerLimits },
): Promise<Runner> {
  if (span.resident === undefined) return new CpuRunner(env, span)
  // Only now: what builds and writes graphs takes memory that a thread on a CPU can do without.
  const [{ DeviceRunner }, { blockGraphs }] = await Promise.all([
    import('./device-runner.ts'),
    import('../../families/graphs/graphs.ts'),
  ])
  const { device, dtype, quant, start, resident } = span
  const graphs: SpanGraphs = ({ adapted, prompted }) =>
    blockGraphs(
      config,
      { device: device.kind, dtype, quant, adapters: adapted, prompted },
      start,
      start + resident.length,
    )
  const maxTokens = Math.max(limits.maxBatchRows, limits.prefillChunkTokens)
  const recorded = recordsSteps({ device: device.kind, dtype }) ? memory : undefined
  return new DeviceRunner(env, span, graphs, { maxTokens, recorded })
}
