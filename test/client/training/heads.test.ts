import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readBytes, readTensor } from '../../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader, type TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { AutoDistributedModelForSequenceClassification } from '../../../src/client/model/classification-model.ts'
import type { ProblemType } from '../../../src/client/tuned/classifier.ts'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { loadDataset } from '../../../src/client/training/data/load-dataset.ts'
import { parameter } from '../../../src/client/training/parameter.ts'
import { loadHead } from '../../../src/client/training/results/head-folder.ts'
import { SwarmBlocks } from '../../../src/client/training/swarm-blocks.ts'
import { Trainer } from '../../../src/client/training/trainer.ts'
import { batchModelOf } from '../../../src/client/training/tunable-model.ts'
import { tune } from '../../../src/client/training/tune.ts'
import { asFloat32, fromFloat32, numElements } from '../../../src/tensor/tensor.ts'
import { type TestSwarm, startServers } from '../kit.ts'

const FIXTURES = new URL('../../fixtures', import.meta.url).pathname
const REFERENCE = new URL('reference', import.meta.url).pathname

/** Of test/reference/heads.py. */
const RATE = 0.5
const STEPS = 3
const TYPES: readonly ProblemType[] = ['single_label_classification', 'multi_label_classification', 'regression']

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-heads-'))
})
after(() => rm(folder, { recursive: true }))

/** What transformers gave, by name. */
class Reference {
  readonly #slices: ReadonlyMap<string, TensorSlice>

  static async of(name: string): Promise<Reference> {
    const slices = await readSafetensorsHeader(join(REFERENCE, `${name}.safetensors`))
    return new Reference(new Map(slices.map((slice) => [slice.name, slice])))
  }

  constructor(slices: ReadonlyMap<string, TensorSlice>) {
    this.#slices = slices
  }

  floats(name: string): Float32Array {
    return asFloat32(readTensor(this.#slices.get(name)!, 'float32'))
  }

  shape(name: string): readonly number[] {
    return this.#slices.get(name)!.shape
  }

  integers(name: string): number[] {
    return [...new BigInt64Array(readBytes(this.#slices.get(name)!).buffer)].map(Number)
  }

  sequences(prefix: string): number[][] {
    const ids = this.integers(`${prefix}ids`)
    let at = 0
    return this.integers(`${prefix}lengths`).map((length) => ids.slice(at, (at += length)))
  }
}

function assertClose(found: Float32Array, wanted: Float32Array, what: string): void {
  assert.equal(found.length, wanted.length)
  const most = wanted.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  const error = found.reduce((max, value, i) => Math.max(max, Math.abs(value - wanted[i]!)), 0)
  assert.ok(error < 1e-4 * most, `${what}: an error of ${error}, the largest being ${most}`)
}

/** Whose head that predicts tokens is trained: of its own, with a bias, and tied to the embedding. */
const PREDICTING = ['llama', 'phi', 'gemma2', 'bloom']
const CLASSIFYING = ['llama', 'gpt-neox', 'bloom', 'gemma2']

for (const name of new Set([...PREDICTING, ...CLASSIFYING]))
  describe(`the heads of ${name}`, () => {
    let path: string, reference: Reference, swarm: TestSwarm
    before(async () => {
      reference = await Reference.of(name)
      path = CLASSIFYING.includes(name) ? await paddedModel(name, reference.integers('pad')[0]!) : join(FIXTURES, name)
      const numBlocks = await numBlocksOf(path)
      swarm = await startServers(path, [
        [0, 1],
        [1, numBlocks],
      ])
    })
    after(() => swarm.stop())

    if (PREDICTING.includes(name))
      test('the one that predicts tokens is trained as by torch, saved, and used', () =>
        checkPredictions(name, path, swarm.bootstrap, reference))
    if (CLASSIFYING.includes(name))
      test('a classifier gives what transformers gives, and is trained alike', async () => {
        for (const type of TYPES) await checkClassifier(path, swarm.bootstrap, reference, type)
      })
  })

async function numBlocksOf(model: string): Promise<number> {
  const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as Record<string, number>
  return (config['num_hidden_layers'] ?? config['n_layer'])!
}

async function checkPredictions(name: string, path: string, bootstrap: string[], reference: Reference): Promise<void> {
  const open = { bootstrap, threads: 1 }
  await using model = await AutoDistributedModelForCausalLM.fromPretrained(path, open)
  const dataset = await loadDataset(model, reference.sequences('lm.'))
  const options = { method: 'head', steps: STEPS, batchSize: 4, learningRate: RATE, shuffle: false } as const
  const tuning = tune(model, dataset, { ...options, optimizer: { name: 'sgd' } })
  const losses: number[] = []
  for await (const { loss } of tuning) losses.push(loss)
  losses.push(await tuning.evaluate(dataset))
  assertClose(Float32Array.from(losses), reference.floats('lm.losses'), 'losses')
  const { head } = await tuning.result()
  assertClose(asFloat32(head!.weight), reference.floats('lm.weight'), 'weights')
  if (name === 'phi') assertClose(asFloat32(head!.bias!), reference.floats('lm.bias'), 'biases')

  const saved = join(folder, name)
  await tuning.save(saved)
  await using tuned = await AutoDistributedModelForCausalLM.fromPretrained(path, {
    ...open,
    head: await loadHead(saved),
  })
  const found = (await tuned.evaluate(dataset)).perplexity!.loss
  assert.ok(Math.abs(found - losses.at(-1)!) < 1e-5, `${found} is not ${losses.at(-1)}`)
  // The same by the logits, which another graph computes.
  const [ids = []] = reference.sequences('lm.')
  const [logits, plain] = await Promise.all([tuned, model].map(async (each) => asFloat32(await each.forward([ids]))))
  assert.ok(logits!.some((value, i) => Math.abs(value - plain![i]!) > 1e-2))
  const again = tune(tuned, await loadDataset(tuned, [ids]), { ...options, steps: 1 })
  const vocab = tuned.ends.vocabSize
  const chosen = ids.slice(1).map((id, i) => {
    const own = logits!.subarray(i * vocab, (i + 1) * vocab)
    return Math.log(own.reduce((sum, x) => sum + Math.exp(x), 0)) - own[id]!
  })
  const mean = chosen.reduce((sum, loss) => sum + loss, 0) / chosen.length
  assert.ok(Math.abs((await again.evaluate(await loadDataset(tuned, [ids]))) - mean) < 1e-4)
  await assert.rejects(AutoDistributedModelForSequenceClassification.fromPretrained(path, { ...open, head: head! }), {
    code: 'USAGE',
    message: /predicts no tokens/,
  })
  const weight = fromFloat32(new Float32Array(8), [2, 4])
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained(path, { ...open, head: { weight } }), {
    code: 'HEAD_MISFIT',
    message: /float32 \[2,4\], and float32 \[\d+,\d+\] is due/,
  })
}

/** A copy of a checkpoint whose config names a padding token. */
async function paddedModel(name: string, padTokenId: number): Promise<string> {
  const path = join(folder, `padded-${basename(name)}`)
  await cp(join(FIXTURES, name), path, { recursive: true })
  const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as object
  await writeFile(join(path, 'config.json'), JSON.stringify({ ...config, pad_token_id: padTokenId }))
  return path
}

async function checkClassifier(
  path: string,
  bootstrap: string[],
  reference: Reference,
  problemType: ProblemType,
): Promise<void> {
  const floats = (name: string): Float32Array => reference.floats(`${problemType}.${name}`)
  const shape = reference.shape(`${problemType}.score`)
  const classifier = { score: fromFloat32(floats('score'), shape), problemType }
  await using model = await AutoDistributedModelForSequenceClassification.fromPretrained(path, {
    bootstrap,
    threads: 1,
    classifier,
  })
  const sequences = reference.sequences('')
  assertClose(asFloat32(await model.classify(sequences)), floats('logits'), `${problemType}: logits`)

  const [labels = 0] = shape
  const given = floats('labels')
  const dataset = await loadDataset(
    model,
    sequences.map((ids, i) => {
      const own = [...given.subarray(i * labels, (i + 1) * labels)]
      return { ids, label: problemType === 'multi_label_classification' ? own : given[i]! }
    }),
  )
  const tuning = tune(model, dataset, {
    method: 'classifier',
    steps: 1,
    batchSize: 4,
    learningRate: RATE,
    optimizer: { name: 'sgd' },
  })
  for await (const { loss } of tuning) assertClose(Float32Array.of(loss), floats('loss'), `${problemType}: loss`)
  const wanted = floats('score').map((value, i) => value - RATE * floats('score.grad')[i]!)
  const { classifier: trained } = await tuning.result()
  assertClose(asFloat32(trained!.score), wanted, `${problemType}: the head after a step`)

  const prompts = parameter('prompts', reference.shape(`${problemType}.prompts`), floats('prompts').slice())
  const score = parameter('score', shape, floats('score').slice())
  const both = { prompts: { before: prompts }, head: { score, problemType } }
  const trainer = new Trainer(batchModelOf(model, new SwarmBlocks(model.layers, undefined)), both, { name: 'sgd' })
  const { loss } = await trainer.step([dataset.examples], { learningRate: 0, clipNorm: Infinity })
  assertClose(Float32Array.of(loss), floats('prompts.loss'), `${problemType}: loss with prompts`)
  assert.equal(prompts.gradient.length, numElements(prompts.shape))
  assertClose(prompts.gradient, floats('prompts.grad'), `${problemType}: the gradient of prompts`)
}
