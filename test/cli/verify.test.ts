import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fixture, verify } from './verify-kit.ts'

test('every tensor of the reference, at every cut, through servers over the network', async () => {
  const { code, rows, stderr } = await verify('--model', fixture('llama'))
  assert.equal(code, 0, stderr)
  assert.deepEqual([...new Set(rows.map(({ cut }) => cut))], ['1', '2', '1,2'])
  for (const cut of ['1', '2', '1,2']) {
    const tensors = new Set(rows.filter((row) => row.cut === cut && row.ok === true).map(({ tensor }) => tensor))
    for (const tensor of [
      'block0_output',
      'block1_output',
      'block2_output',
      'logits',
      'greedy_ids',
      'greedy_logprobs',
      'logits_with_deep_prompts',
      'inputs_embeds_grad',
      'block0_input_grad',
      'block0_output_grad',
      'block1_output_grad',
      'block2_output_grad',
    ])
      assert.ok(tensors.has(tensor), tensor)
  }
  assert.ok(rows.every(({ ok, maxAbs }) => ok === true && maxAbs! < 1e-4))
})

test('a wrong reference is found out, and what nobody can check is a failed row', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'petals-verify-'))
  t.after(() => rm(folder, { recursive: true }))
  const golden = join(folder, 'golden.safetensors')
  const bytes = await readFile(join(fixture('llama'), 'golden.safetensors'))
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const at = 8 + Number(bytes.readBigUInt64LE(0)) + header['block1_output']!.data_offsets[0]
  bytes.writeFloatLE(bytes.readFloatLE(at) + 0.001, at)
  const renamed = Buffer.from(bytes.toString('latin1').replace('"deep_prompts"', '"door_prompts"'), 'latin1')
  await writeFile(golden, renamed)
  const { code, rows } = await verify('--model', fixture('llama'), '--golden', golden, '--cuts', '2')
  assert.equal(code, 1)
  const bad = rows.filter(({ ok }) => ok === false)
  assert.deepEqual(
    bad.map(({ tensor }) => tensor),
    ['block1_output', 'door_prompts'],
  )
  assert.ok(bad[1]!.reason !== undefined)
})

test('usage: cuts and files that cannot be', async (t) => {
  assert.match(
    (await verify('--model', fixture('llama'), '--cuts', '2,1')).stderr,
    /--cuts 2,1: expected rising block numbers from 1 to 2/,
  )
  assert.match(
    (await verify('--model', fixture('llama'), '--device', 'cpu', '--dtype', 'float16')).stderr,
    /--dtype float16: a CPU computes in float32/,
  )
  const folder = await mkdtemp(join(tmpdir(), 'petals-verify-'))
  t.after(() => rm(folder, { recursive: true }))
  await copyFile(join(fixture('llama'), 'config.json'), join(folder, 'golden.json'))
  assert.match(
    (await verify('--model', fixture('llama'), '--golden', join(folder, 'golden.json'))).stderr,
    /has no list "greedy"/,
  )
})
