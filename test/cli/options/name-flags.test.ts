import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PetalsError, UsageError } from '../../../src/base/errors.ts'
import { generateOptions } from '../../../src/cli/commands/generate/options.ts'
import { nameFlags } from '../../../src/cli/options/name-flags.ts'
import { run } from '../kit.ts'

const named = (message: string) => (nameFlags(new UsageError(message), generateOptions) as Error).message

test("the library's options are called by their flags", () => {
  assert.equal(
    named('numReturnSequences is 3, but maxTimeMs and stopStrings'),
    '--num-return-sequences is 3, but --max-time and --stop',
  )
  assert.equal(
    named('open it without activeAdapter: give maxNewTokens'),
    'open it without --active-adapter: give --max-new-tokens',
  )
})

test('words, paths and what is no option stay as they are', () => {
  for (const message of [
    'a temperature of 3',
    'the file /tmp/maxNewTokens',
    'x.topP',
    'anUnknownName is 3',
    '--top-p 3',
  ])
    assert.equal(named(message), message)
  const other = new PetalsError('NO_ROUTE', 'maxNewTokens')
  assert.equal(nameFlags(other, generateOptions), other)
})

test('a command says it so', async (t) => {
  const address = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWQDd7tHiyRav5mNNEFA74GGHGSEtgoUNBhJZkgQBCr4Jo'
  const { code, stderr } = await run(t, 'generate', '--prompt', 'a', '--max-new-tokens', '0', '--bootstrap', address)
  assert.equal(code, 2)
  assert.match(stderr, /^petals-node: --max-new-tokens 0: expected a whole number of at least 1\n/)
})
