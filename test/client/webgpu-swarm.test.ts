import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import type { RouteHop } from '../../src/client/session/server/route-hop.ts'
import { asFloat32 } from '../../src/tensor/tensor.ts'
import { loadFixture } from '../families/support.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'

const MODEL = new URL('../fixtures/llama', import.meta.url).pathname
const TOKENS = 12

describe('a swarm of servers on WebGPU and on the CPU', ON_WEBGPU, () => {
  it(
    'computes one text together, and goes on when a CPU takes over from WebGPU, which it says',
    PATIENTLY,
    async (context) => {
      const start = async (span: [number, number], device: string, bootstrap?: string): Promise<LocalSwarm> => {
        const join = bootstrap === undefined ? [] : ['--bootstrap', bootstrap]
        const swarm = await startLocalSwarm({
          model: MODEL,
          spans: [span],
          bootstrap: bootstrap === undefined,
          threads: 1,
          extraArgs: ['--device', device, '--attn-cache-tokens', '1024', ...join],
        })
        context.after(() => swarm.stop())
        return swarm
      }
      const first = await start([0, 2], 'webgpu')
      const { bootstrap } = first
      await start([2, 3], 'cpu', bootstrap)
      const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [bootstrap], threads: 1 })
      context.after(() => model.close())
      let route: readonly RouteHop[] = []
      const recoveries: Recovery[] = []
      model.on('route', (hops) => {
        route = hops
      })
      model.on('recovery', (recovery) => recoveries.push(recovery))

      const { golden } = await loadFixture('llama')
      const ids = [...new BigInt64Array(golden.get('input_ids')!.data.slice().buffer)].slice(0, TOKENS).map(Number)
      const expected = asFloat32(golden.get('block2_output')!)
      const width = model.checkpoint.config.hiddenSize
      const session = model.inferenceSession({ maxLength: TOKENS })
      context.after(() => session.close())
      for (let at = 0; at < TOKENS; at++) {
        if (at === 6) {
          assert.deepEqual(
            route.map(({ device }) => device),
            ['webgpu', 'cpu'],
          )
          await start([0, 2], 'cpu', bootstrap)
          first.servers[0]!.process.kill('SIGKILL')
        }
        const found = asFloat32(await session.step([ids[at]!]))
        const error = found.reduce((worst, x, i) => Math.max(worst, Math.abs(x - expected[at * width + i]!)), 0)
        assert.ok(error < 1e-4, `token ${at} differs by ${error}`)
      }
      assert.deepEqual(
        recoveries.map(({ lost, arithmeticChanged }) => [lost.length, arithmeticChanged]),
        [[1, true]],
      )
    },
  )
})
