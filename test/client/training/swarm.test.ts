import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { AutoDistributedModelForSequenceClassification } from '../../../src/client/model/classification-model.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { loadAdapter } from '../../../src/client/remote/adapters/active-adapter.ts'
import type { Dataset } from '../../../src/client/training/data/dataset.ts'
import { loadDataset } from '../../../src/client/training/data/load-dataset.ts'
import type { TuneStep } from '../../../src/client/training/running.ts'
import { loadClassifier } from '../../../src/client/training/results/classifier-folder.ts'
import { loadPrompts } from '../../../src/client/training/results/prompts-folder.ts'
import { tune } from '../../../src/client/training/tune.ts'
import type { TuneOptions } from '../../../src/client/training/tune-options.ts'
import type { Tuning } from '../../../src/client/training/tuning.ts'
import { logProbability } from '../../../src/client/verification/rows.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { type TestSwarm, startServers } from '../kit.ts'

const LLAMA = new URL('../../fixtures/llama', import.meta.url).pathname

/** Sequences with a rule in them, of mixed length. */
const SEQUENCES = Array.from({ length: 12 }, (_, i) =>
  Array.from({ length: 4 + (i % 5) }, (_, j) => (i * 5 + j * 3) % 60),
)
const LABELLED = SEQUENCES.map((ids, i) => ({ ids, label: i % 2 }))

const OPTIONS = { steps: 6, batchSize: 4, seed: 1, learningRate: 0.02, preSeqLen: 3 } as const

let swarm: TestSwarm
let model: AutoDistributedModelForCausalLM
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-swarm-tune-'))
  swarm = await startServers(
    LLAMA,
    [
      [0, 1],
      [1, 3],
      [0, 3],
    ],
    { allowClientAdapters: true, adapterBytes: 2 ** 24 },
  )
  model = await AutoDistributedModelForCausalLM.fromPretrained(LLAMA, { bootstrap: swarm.bootstrap, threads: 1 })
})
after(async () => {
  await model.close()
  await swarm.stop()
  await rm(folder, { recursive: true })
})

async function all(tuning: Tuning): Promise<TuneStep[]> {
  const steps: TuneStep[] = []
  for await (const step of tuning) steps.push(step)
  return steps
}

/** The mean cross-entropy of a classifier. */
async function labelLoss(model: AutoDistributedModelForSequenceClassification, { examples }: Dataset): Promise<number> {
  const logits = asFloat32(await model.classify(examples.map(({ ids }) => [...ids])))
  const losses = examples.map(({ label }, i) => {
    const own = logits.subarray(i * model.numLabels, (i + 1) * model.numLabels)
    return -logProbability(own, Number(label))
  })
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

describe('what is tuned through a swarm is used as it was evaluated', () => {
  for (const method of ['ptune', 'deep_ptune', 'lora'] as const)
    test(method, async () => {
      const dataset = await loadDataset(model, SEQUENCES)
      const options: TuneOptions = { ...OPTIONS, method, evaluation: dataset, evaluateEvery: 6 }
      const tuning = tune(model, dataset, options)
      const before = await tuning.evaluate()
      if (method === 'lora') assert.ok(Math.abs(before - (await model.evaluate(dataset)).perplexity!.loss) < 1e-5)
      const steps = await all(tuning)
      const { loss } = steps.at(-1)!.evaluation!
      assert.ok(loss < before - 0.01, `${loss} after ${before}`)
      const path = join(folder, method)
      await tuning.save(path)
      const own = method === 'lora' ? { activeAdapter: await loadAdapter(path) } : { prompts: await loadPrompts(path) }
      await using tuned = await AutoDistributedModelForCausalLM.fromPretrained(LLAMA, {
        bootstrap: swarm.bootstrap,
        threads: 1,
        ...own,
      })
      const again = () => tune(tuned, dataset, options)
      assert.throws(again, { code: 'USAGE', message: /this model has (?:an adapter|tuned prompts)/ })
      const found = (await tuned.evaluate(dataset)).perplexity!
      assert.ok(Math.abs(found.loss - loss) < 1e-4, `${found.loss} where ${loss} was evaluated`)
      assert.equal(
        found.tokens,
        SEQUENCES.reduce((sum, ids) => sum + ids.length - 1, 0),
      )
    })

  for (const method of ['classifier', 'lora'] as const)
    test(`a head for labels, with ${method}`, async () => {
      const open = { bootstrap: swarm.bootstrap, threads: 1 }
      await using untuned = await AutoDistributedModelForSequenceClassification.fromPretrained(LLAMA, open)
      const dataset = await loadDataset(untuned, LABELLED)
      const tuning = tune(untuned, dataset, { ...OPTIONS, method, evaluation: dataset, evaluateEvery: 6 })
      const before = await tuning.evaluate()
      const { loss } = (await all(tuning)).at(-1)!.evaluation!
      assert.ok(loss < before, `${loss} after ${before}`)
      const path = join(folder, `head-${method}`)
      await tuning.save(path)
      await using tuned = await AutoDistributedModelForSequenceClassification.fromPretrained(LLAMA, {
        ...open,
        classifier: await loadClassifier(path),
        ...(method === 'lora' && { activeAdapter: await loadAdapter(path) }),
      })
      assert.ok(Math.abs((await labelLoss(tuned, dataset)) - loss) < 1e-4)
      assert.deepEqual((await tuned.classify(SEQUENCES.slice(0, 3))).shape, [3, 2])
      await assert.rejects(untuned.classify([[1]]), { code: 'USAGE' })
    })
})

test('what does not go together is refused', async () => {
  const texts = await loadDataset(model, SEQUENCES)
  const labelled = await loadDataset(model, LABELLED)
  assert.throws(() => tune(model, labelled, { ...OPTIONS, method: 'ptune' }), { code: 'USAGE' })
  assert.throws(() => tune(model, texts, { ...OPTIONS, method: 'classifier' }), { code: 'USAGE' })
  assert.throws(() => tune(model, texts, { ...OPTIONS, method: 'ptune', steps: 0 }), { code: 'USAGE' })
  const wrong = tune(model, texts, { ...OPTIONS, method: 'lora', targetModules: ['nothing'] })
  await assert.rejects(all(wrong), { code: 'USAGE', message: /q_proj/ })
})

test('a server that is lost in mid-training changes nothing in the curve', async () => {
  const dataset = await loadDataset(model, SEQUENCES)
  const options: TuneOptions = { ...OPTIONS, method: 'deep_ptune' }
  const wanted = await all(tune(model, dataset, options))
  const found: TuneStep[] = []
  for await (const step of tune(model, dataset, options)) {
    found.push(step)
    if (step.step !== 2) continue
    await swarm.servers[2]!.server.stop()
    await swarm.servers[2]!.node.stop()
  }
  for (const [i, { loss }] of wanted.entries()) assert.ok(Math.abs(found[i]!.loss - loss) < 1e-5)
})
