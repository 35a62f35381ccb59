import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type DataOptions, type DataSource, loadDataset } from '../../../../src/client/training/data/load-dataset.ts'
import type { Example } from '../../../../src/client/training/data/dataset.ts'
import { BOS, EOS, decodeToy, encodeToy, toyModel } from './toy-model.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-data-'))
})
after(() => rm(folder, { recursive: true }))

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

/** What of an example is learned; `_` for what is not. */
function learned({ ids, weights }: Example): string {
  return [...ids].map((id, i) => (weights[i] === 1 ? decodeToy([id]) : '_')).join('')
}

async function learnedOf(source: DataSource, options?: DataOptions): Promise<string[]> {
  return (await loadDataset(toyModel(), source, options)).examples.map(learned)
}

async function digest(source: DataSource): Promise<string> {
  return (await loadDataset(toyModel(), source)).digest
}

function rejects(source: DataSource, code: string, options?: DataOptions): Promise<void> {
  return assert.rejects(loadDataset(toyModel(), source, options), { code })
}

describe('what is learned', () => {
  test('a running text comes in windows that share one id, without special tokens; the rest is left out', async () => {
    const path = await file('running.txt', '0123456789x')
    const { examples } = await loadDataset(toyModel(), path, { maxTokens: 3 })
    assert.deepEqual(
      examples.map(({ ids }) => decodeToy(ids)),
      ['0123', '3456', '6789'],
    )
    assert.deepEqual(
      (await loadDataset(toyModel(), { text: '0123456789x' }, { maxTokens: 3 })).examples.length,
      examples.length,
    )
    assert.deepEqual(await learnedOf({ text: '01' }, { maxTokens: 3 }), ['_1'])
  })

  test('a text of a list is learned whole, in windows where it is longer', async () => {
    assert.deepEqual(await learnedOf(['xyz', [5, 6], { text: '012345' }], { maxTokens: 4 }), [
      '_xyz',
      `_${decodeToy([6])}`,
      '_0123',
      '_45',
    ])
  })

  test('of a prompt and its completion the latter, with the end of text, in the tokens of both together', async () => {
    const path = await file(
      'completions.jsonl',
      '{"prompt": "Q: xa", "completion": "bc"}\r\n\n{"prompt":"","completion":"d"}',
    )
    // "ab" is one token of prompt and completion: it is predicted, since it holds some of the completion.
    assert.deepEqual(await learnedOf(path), ['____abc$', '_d$'])
    const { examples } = await loadDataset(toyModel(), path)
    assert.deepEqual([...examples[0]!.ids], [...encodeToy('Q: xabc'), EOS])
  })

  test('what is longer than allowed is cut, and told; where nothing is left to learn it is dropped', async () => {
    const { examples, numCut, numDropped } = await loadDataset(
      toyModel(),
      [
        { prompt: 'x', completion: 'yz123' },
        { prompt: 'long prompt', completion: 'y' },
      ],
      { maxTokens: 3 },
    )
    assert.deepEqual(examples.map(learned), ['__yz'])
    assert.deepEqual([numCut, numDropped], [2, 1])
  })

  test('texts with labels: numbers, or the places of their names', async () => {
    const named = await loadDataset(toyModel(), [
      { text: 'x', label: 'sad' },
      { text: 'y', label: 'glad' },
    ])
    assert.deepEqual(
      [named.labels, named.examples.map(({ label }) => label)],
      [
        ['glad', 'sad'],
        [1, 0],
      ],
    )
    assert.equal(named.isLabelled, true)
    const again = await loadDataset(toyModel(), [{ text: 'y', label: 'sad' }], { labels: ['sad', 'glad'] })
    assert.equal(again.examples[0]!.label, 0)
    const several = await loadDataset(toyModel(), [
      { ids: [1], label: [0, 1, 0.5] },
      { text: 'b', label: [1, 0, 0] },
    ])
    assert.deepEqual(several.examples[0]!.label, [0, 1, 0.5])
    const value = await loadDataset(toyModel(), [{ text: 'x', label: -1.5 }])
    assert.deepEqual([value.examples[0]!.label, [...value.examples[0]!.ids]], [-1.5, [BOS, 120]])
  })

  test('equal data have equal digests', async () => {
    assert.equal(await digest(['xyz']), await digest([{ text: 'xyz' }]))
    assert.notEqual(await digest(['xyz']), await digest(['xyw']))
    assert.notEqual(await digest([{ text: 'x', label: 0 }]), await digest([{ text: 'x', label: 1 }]))
  })
})

describe('what cannot be used is refused by name', () => {
  const lines: Record<string, [string | Uint8Array, RegExp]> = {
    'no JSON': ['{"text": "x"}\n{"text": ', /line 2: it is not JSON .*one JSON object on each line/],
    'no UTF-8': [Uint8Array.of(0x22, 0xff, 0x22), /line 1: it is not UTF-8: save the file as UTF-8/],
    'a number': ['3', /line 1: 3 is no object: expected \{"text"/],
    'unknown fields': ['{"txt": "x"}', /line 1: it has txt: expected/],
    'a text of another kind': ['{"text": 5}', /line 1: text is 5: expected a text/],
    'half a pair': ['{"prompt": "x"}', /line 1: completion is missing/],
    'an unknown role': ['{"messages": [{"role": "bot", "content": "x"}]}', /role of message 0 is "bot": .*assistant/],
    'no answer': ['{"messages": [{"role": "user", "content": "x"}]}', /no message is of the assistant/],
    'mixed labels': ['{"text": "x", "label": 1}\n{"text": "y", "label": "z"}', /line 2: label "z": .*another kind/],
    'a label too few': ['{"text": "x", "label": 1}\n{"text": "y"}', /line 2: it has no label/],
    'a label of no kind': ['{"text": "x", "label": {}}', /line 1: label is \{\}/],
    'an unknown id': ['[5, 2000]', /line 1: token id 2000: this model knows ids 0 to 1099/],
  }
  for (const [name, [content, message]] of Object.entries(lines))
    test(name, async () => {
      const path = await file('bad.jsonl', content)
      await assert.rejects(loadDataset(toyModel(), path), { code: 'DATASET_RECORD', message })
      await assert.rejects(loadDataset(toyModel(), path), (error: Error) => error.message.startsWith(`${path}, line`))
    })

  test('files and options', async () => {
    await rejects(join(folder, 'absent.jsonl'), 'DATASET_FILE')
    await rejects(await file('data.csv', 'x'), 'DATASET_FILE')
    await rejects(await file('empty.jsonl', '\n'), 'DATASET_FILE')
    await rejects(await file('empty.txt', ''), 'DATASET_FILE')
    await rejects(await file('latin.txt', Buffer.from('no caf\u00e9 here', 'latin1')), 'DATASET_FILE')
    await rejects(folder, 'DATASET_FILE')
    await rejects(['x'], 'USAGE', { maxTokens: 0 })
    await rejects(['x'], 'USAGE', { maxTokens: 513 })
    await rejects([{ text: 'x', label: 'a' }], 'USAGE', { labels: ['a', 'a'] })
    await assert.rejects(loadDataset({ ...toyModel(), tokenizer: undefined }, ['x']), { message: /give token ids/ })
  })
})
