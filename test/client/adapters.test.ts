import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Adapter, openAdapter } from '../../src/checkpoint/adapter/adapter.ts'
import { AdapterDigest, CLIENT_ADAPTER, type LoadedModule } from '../../src/checkpoint/adapter/adapter-digest.ts'
import type { LocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { ActiveAdapter } from '../../src/client/remote/adapters/active-adapter.ts'
import type { Request } from '../../src/swarm/frames/messages.ts'
import { asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { maxError } from '../families/support.ts'
import { startProcesses } from './kit.ts'

const MODELS = join(import.meta.dirname, '../../models')
const DEMO = join(MODELS, 'demo'),
  MOBY = join(MODELS, 'demo-lora-moby'),
  NAME = 'demo-lora-moby'

interface Golden {
  readonly input_ids: number[]
  readonly greedy_ids: number[]
}

function module(name: string, a: number[], b: number[], value = 0.5): LoadedModule {
  const matrix = (shape: number[]) => fromFloat32(new Float32Array(shape[0]! * shape[1]!).fill(value), shape)
  return { name, scaling: 1, a: matrix(a), b: matrix(b) }
}

function nameOf(...modules: LoadedModule[]): string {
  const digest = new AdapterDigest()
  for (const each of modules) digest.add(each)
  return digest.name()
}

function message(loaded: LoadedModule): Request<'adapter'> {
  return { kind: 'module', ...loaded }
}

describe('adapters in a swarm', () => {
  let swarm: LocalSwarm, base: AutoDistributedModelForCausalLM, own: Adapter, golden: Golden[]
  before(async () => {
    swarm = await startProcesses({
      model: DEMO,
      spans: [
        [0, 4],
        [4, 8],
        [0, 4],
        [4, 8],
      ],
      threads: 1,
      extraArgs: [
        '--attn-cache-tokens',
        '4096',
        '--adapters',
        MOBY,
        '--allow-client-adapters',
        '--adapter-memory',
        '4MiB',
      ],
    })
    base = await connect()
    own = await openAdapter(MOBY)
    golden = (JSON.parse(await readFile(`${MOBY}-golden.json`, 'utf8')) as { greedy: Golden[] }).greedy
  })
  after(async () => {
    await base?.close()
    await swarm?.stop()
  })

  const connect = (activeAdapter?: ActiveAdapter) =>
    AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: [swarm.bootstrap], threads: 1, activeAdapter })

  /** The reference's texts as the swarm writes them, or the first ones. */
  async function texts(
    activeAdapter: ActiveAdapter,
    howMany = golden.length,
    onToken?: (count: number, route: readonly string[]) => void,
  ): Promise<number[][]> {
    await using model = await connect(activeAdapter)
    let route: string[] = []
    model.on('route', (hops) => {
      route = hops.map(({ peerId }) => peerId)
    })
    const found: number[][] = []
    for (const { input_ids: prompt, greedy_ids: ids } of golden.slice(0, howMany)) {
      const logitsProcessors = [
        (_: Float32Array, fed: readonly number[]): void => onToken?.(fed.length - prompt.length, route),
      ]
      const [result] = await model.generate([prompt], {
        maxNewTokens: ids.length - prompt.length,
        temperature: 0,
        logitsProcessors,
      })
      found.push([...prompt, ...result!.tokenIds])
    }
    return found
  }

  it("give PEFT's texts, held by the servers or brought by the client", async () => {
    const wanted = golden.map(({ greedy_ids: ids }) => ids)
    assert.deepEqual(await texts(NAME), wanted)
    assert.deepEqual(await texts(own), wanted)
    assert.deepEqual(
      base.swarm.records().map(({ adapters, clientAdapters }) => [adapters, clientAdapters]),
      Array.from({ length: 4 }, () => [[NAME], true]),
    )
  })

  it('apply to whole sequences without a session as well', async () => {
    const { greedy_ids: ids } = golden[0]!
    const logits = async (activeAdapter?: ActiveAdapter) => {
      await using model = await connect(activeAdapter)
      return asFloat32(await model.forward([ids]))
    }
    const [plain, held, brought] = [await logits(), await logits(NAME), await logits(own)]
    assert.ok(maxError(held, brought) < 1e-4)
    assert.ok(maxError(held, plain) > 1)
  })

  it('are refused by name where nobody has them', async () => {
    await using model = await connect('nobody')
    const session = model.inferenceSession({ maxLength: 8, recoveryTimeoutMs: 200 })
    await assert.rejects(session.step([0, 1]), {
      code: 'NO_ROUTE',
      message: /adapter nobody; servers have demo-lora-moby/,
    })
  })

  it("cannot be anything but what a client's adapter may be", async () => {
    const fitting = module('model.layers.0.self_attn.q_proj', [2, 256], [256, 2])
    const cases: [string, RegExp | string, string, Request<'adapter'>[]][] = [
      ['a name of no digest', 'ADAPTER_REFUSED', 'mine', []],
      ['a false name', 'ADAPTER_REFUSED', `${CLIENT_ADAPTER}${'0'.repeat(64)}`, [message(fitting)]],
      ['nothing', 'ADAPTER_REFUSED', nameOf(), []],
      [
        'a module that the model does not have',
        'ADAPTER_MISFIT',
        nameOf(module('model.layers.99.self_attn.q_proj', [2, 256], [256, 2])),
        [message(module('model.layers.99.self_attn.q_proj', [2, 256], [256, 2]))],
      ],
      [
        'a shape that does not fit',
        'ADAPTER_MISFIT',
        nameOf(module('model.layers.0.self_attn.q_proj', [2, 8], [256, 2])),
        [message(module('model.layers.0.self_attn.q_proj', [2, 8], [256, 2]))],
      ],
      [
        'weights that are no numbers',
        'ADAPTER_WEIGHT',
        nameOf(module('model.layers.0.self_attn.q_proj', [2, 256], [256, 2], Number.NaN)),
        [message(module('model.layers.0.self_attn.q_proj', [2, 256], [256, 2], Number.NaN))],
      ],
      [
        'another offer in the middle of it',
        'ADAPTER_REFUSED',
        `${CLIENT_ADAPTER}${'1'.repeat(64)}`,
        [message(fitting), { kind: 'offer', modelKey: base.swarm.modelKey, adapter: nameOf(fitting) }],
      ],
      [
        'more than fits',
        'ADAPTER_REFUSED',
        `${CLIENT_ADAPTER}${'2'.repeat(64)}`,
        [message(module('a', [2, 1 << 20], [1, 2])), message(module('b', [2, 1 << 20], [1, 2]))],
      ],
      [
        'a rank beyond the room',
        'ADAPTER_MEMORY',
        nameOf(module('model.layers.0.self_attn.q_proj', [512, 256], [256, 512])),
        [message(module('model.layers.0.self_attn.q_proj', [512, 256], [256, 512]))],
      ],
    ]
    const server = base.swarm.records().find(({ start }) => start === 0)!
    for (const [what, code, name, messages] of cases) {
      const stream = await base.swarm.open(server, 'adapter', AbortSignal.timeout(10_000))
      await stream.send({ kind: 'offer', modelKey: base.swarm.modelKey, adapter: name })
      const exchange = async (): Promise<void> => {
        await stream.receive({ timeoutMs: 10_000 })
        for (const each of [...messages, { kind: 'complete' } as const]) await stream.send(each).catch(() => undefined)
        await stream.receive({ timeoutMs: 10_000 })
      }
      await assert.rejects(exchange(), { code }, what)
      await stream.end()
    }
    // The servers go on.
    assert.deepEqual(await texts(own, 1), [golden[0]!.greedy_ids])
  })

  it('go on through the others when a server is killed', async () => {
    for (const adapter of [own, NAME]) {
      let killed = false
      const found = await texts(adapter, 1, (count, route) => {
        if (count !== 10 || killed) return
        killed = true
        swarm.servers.find(({ peerId }) => peerId === route[adapter === own ? 0 : 1])!.process.kill('SIGKILL')
      })
      assert.ok(killed)
      assert.deepEqual(found, [golden[0]!.greedy_ids])
    }
  })
})
