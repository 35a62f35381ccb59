import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AutoDistributedModelForCausalLM } from '../../../src/client/index.ts'
import { checkPretrainedOptions } from '../../../src/client/model/check-options.ts'

const CASES: readonly (readonly [options: object, message: RegExp])[] = [
  [{ bootstap: ['/ip4/1.2.3.4/tcp/1'] }, /no option "bootstap": did you mean bootstrap\?/],
  [{ temperature: 1 }, /no option "temperature": there are bootstrap, lan, node, /],
  [{ toString: 1 }, /no option "toString"/],
  [{ bootstrap: '/ip4/1.2.3.4/tcp/1' }, /bootstrap must be a list of texts, also where it is only one; it is "\/ip4/],
  [{ allowedServers: [1] }, /allowedServers must be a list of texts.*it is a list/],
  [{ threads: '2' }, /threads must be a number; it is "2"/],
  [{ threads: NaN }, /threads must be a number; it is NaN/],
  [{ swarmKey: 'key' }, /swarmKey must be a Uint8Array; it is "key"/],
  [{ node: null }, /node must be an object; it is null/],
  [{ activeAdapter: 3 }, /activeAdapter must be the name of an adapter/],
]

test('options that do not exist and values of another type are refused by name', async () => {
  for (const [options, message] of CASES)
    assert.throws(() => checkPretrainedOptions(options), { code: 'USAGE', message })
  checkPretrainedOptions({ bootstrap: [], threads: undefined, spin: false, activeAdapter: 'moby' })
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained('./nowhere', CASES[0]![0]), { code: 'USAGE' })
  const options: object = { bootstrap: ['/ip4/1.2.3.4/tcp/1'], wireDType: 'int3' }
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained('./nowhere', options), {
    code: 'USAGE',
    message: /wireDType is "int3": expected one of auto, float32, float16, bfloat16, int8/,
  })
})
