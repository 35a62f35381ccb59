import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UsageError } from '../../../src/base/errors.ts'
import type { OptionTable } from '../../../src/cli/options/option-table.ts'
import { parseConfigFile } from '../../../src/cli/options/config-file.ts'
import { fromEnvironment, withoutOptions } from '../../../src/cli/options/environment.ts'
import { fromFlags } from '../../../src/cli/options/flags.ts'
import { choose, nameSource, readOptions } from '../../../src/cli/options/read-options.ts'

const group = 'Test'
const serveTable = {
  blocks: { type: 'text', group, description: 'which', rivals: ['numBlocks'] },
  numBlocks: { type: 'integer', group, description: 'how many', min: 1, rivals: ['blocks'] },
  bootstrap: { type: 'list', group, description: 'peers', default: [] },
  spin: { type: 'flag', group, description: 'hot' },
  threads: { type: 'integer', group, description: 'threads', default: 1, min: 1 },
} as const satisfies OptionTable
const serveCommand = { name: 'serve', options: serveTable }
const chatCommand = {
  name: 'chat',
  options: { threads: serveTable.threads, topP: { type: 'number', group, description: 'p', max: 1 } } as const,
}
const commands = [serveCommand, chatCommand]
const all: OptionTable = { ...serveTable, ...chatCommand.options }

/** What `serve` makes of the three places together. */
function read(places: { flags?: Record<string, unknown>; env?: NodeJS.ProcessEnv; file?: string }) {
  const given = choose(serveTable, [
    fromFlags(serveTable, places.flags ?? {}),
    fromEnvironment(places.env ?? {}, serveTable, all),
    ...parseConfigFile(places.file ?? '', 'my.yaml', { ...serveCommand }, commands),
  ])
  return readOptions(serveTable, given)
}

const none = { blocks: undefined, numBlocks: undefined, bootstrap: [], spin: false, threads: 1 }

describe('places', () => {
  test("a flag goes before the environment, that before a command's part of the file, that before the rest", () => {
    const places = { flags: { threads: '2' }, env: { PETALS_THREADS: '3' }, file: 'threads: 5\nserve:\n  threads: 4' }
    assert.equal(read(places).threads, 2)
    assert.equal(read({ ...places, flags: {} }).threads, 3)
    assert.equal(read({ ...places, flags: {}, env: {} }).threads, 4)
    assert.equal(read({ file: 'threads: 5\nchat: { threads: 6 }' }).threads, 5)
    assert.deepEqual(read({}), none)
  })

  test('lists, switches and texts are the same in each place', () => {
    const wanted = { ...none, blocks: '10:20', bootstrap: ['a', 'b'], spin: true }
    assert.deepEqual(read({ flags: { blocks: '10:20', bootstrap: ['a', 'b'], spin: true } }), wanted)
    assert.deepEqual(read({ env: { PETALS_BLOCKS: '10:20', PETALS_BOOTSTRAP: 'a, b', PETALS_SPIN: 'yes' } }), wanted)
    assert.deepEqual(read({ env: { PETALS_BLOCKS: '10:20', PETALS_BOOTSTRAP: 'a b', PETALS_SPIN: '1' } }), wanted)
    assert.deepEqual(read({ file: 'blocks: 10:20\nbootstrap: [a, b]\nspin: true' }), wanted)
    assert.deepEqual(read({ file: 'blocks: "10:20"\nbootstrap:\n- a\n- b\nspin: yes' }), wanted)
    assert.deepEqual(read({ file: 'bootstrap: a' }).bootstrap, ['a'])
    assert.equal(read({ flags: { spin: false }, env: { PETALS_SPIN: 'true' } }).spin, false)
    assert.deepEqual(read({ file: 'num-blocks: 007' }).numBlocks, 7)
  })

  test('an empty variable, an empty file and a key without a value give nothing', () => {
    assert.deepEqual(
      read({ env: { PETALS_THREADS: '', PETALS_BOOTSTRAP: '' }, file: 'blocks:\nthreads: ~\nserve:' }),
      none,
    )
    assert.deepEqual(read({ file: '# only a comment\n' }), none)
  })

  test('an option of another command is ignored, and so are variables that are no options', () => {
    const env = {
      PETALS_TOP_P: 'abc',
      PETALS_CUDA_LIBS: '/cuda',
      PETALS_NODE_PORT_80_TCP: 'tcp://10.0.0.1:80',
      PETALS_SERVICE_HOST: '10.0.0.1',
    }
    assert.deepEqual(read({ env, file: 'topP: abc\nchat:\n  topP: 7' }), none)
  })

  test('the name of both an option and a command is the command where it has a map', () => {
    const table = { bootstrap: serveTable.bootstrap, listen: { type: 'text', group, description: 'where' } } as const
    const both = [{ name: 'bootstrap', options: table }]
    const readBoth = (file: string) =>
      readOptions(table, choose(table, parseConfigFile(file, 'my.yaml', both[0]!, both)))
    assert.deepEqual(readBoth('bootstrap: [a]').bootstrap, ['a'])
    assert.deepEqual(readBoth('bootstrap: { listen: here }'), { bootstrap: [], listen: 'here' })
  })

  test('of two options that exclude each other the one in the higher place counts', () => {
    assert.deepEqual(read({ flags: { blocks: '0:4' }, env: { PETALS_NUM_BLOCKS: '8' } }), { ...none, blocks: '0:4' })
    assert.deepEqual(read({ env: { PETALS_NUM_BLOCKS: '8' }, file: 'blocks: 0:4' }), { ...none, numBlocks: 8 })
    assert.throws(() => read({ file: 'blocks: 0:4\nnumBlocks: 3' }), /--blocks and --num-blocks exclude each other/)
  })

  test('processes started here get the variables that are no options', () => {
    assert.deepEqual(
      withoutOptions({ PATH: '/bin', PETALS_THREADS: '3', PETALS_CUDA_LIBS: '/cuda', NONE: undefined }),
      { PATH: '/bin', PETALS_CUDA_LIBS: '/cuda' },
    )
  })
})

const refused: [string, Parameters<typeof read>[0], RegExp][] = [
  [
    "a variable's value",
    { env: { PETALS_NUM_BLOCKS: 'abc' } },
    /^PETALS_NUM_BLOCKS=abc: expected a whole number of at least 1$/,
  ],
  [
    "a variable's switch",
    { env: { PETALS_SPIN: 'maybe' } },
    /^PETALS_SPIN=maybe: expected true or false \(also yes, no, 1, 0\)$/,
  ],
  [
    "a file's value",
    { file: '\n# blocks\nnumBlocks: abc' },
    /^my\.yaml, line 3, numBlocks: abc: expected a whole number of at least 1$/,
  ],
  [
    "a value in a command's part",
    { file: 'serve:\n  num-blocks: 0' },
    /^my\.yaml, line 2, serve, num-blocks: 0: expected a whole number of at least 1$/,
  ],
  [
    'a list where one value is due',
    { file: 'threads: [1, 2]' },
    /^my\.yaml, line 1, threads: 1, 2: give one value, not 2$/,
  ],
  [
    'a map where a value is due',
    { file: 'threads: { a: 1 }' },
    /^my\.yaml, line 1, threads: expected a value or a list of values$/,
  ],
  [
    'an unknown variable with one like it',
    { env: { PETALS_NUM_BLOKS: '5' } },
    /^PETALS_NUM_BLOKS: no command has such an option: did you mean PETALS_NUM_BLOCKS\?$/,
  ],
  [
    'an unknown variable with none like it',
    { env: { PETALS_XYZZY: '5' } },
    /^PETALS_XYZZY: no command has such an option; unset it$/,
  ],
  [
    'an unknown key',
    { file: 'threads: 3\nnumBloks: 5' },
    /^my\.yaml, line 2: there is no option numBloks: did you mean numBlocks\?$/,
  ],
  [
    'an unknown key of another command',
    { file: 'chat:\n  top-q: 5' },
    /^my\.yaml, line 2, chat: there is no option top-q: did you mean topP\?$/,
  ],
  [
    'an option in the part of a command that lacks it',
    { file: 'chat: { blocks: 0:4 }' },
    /^my\.yaml, line 1, chat: there is no option blocks/,
  ],
  [
    'an unknown command',
    { file: 'serv: { threads: 3 }' },
    /^my\.yaml, line 1: there is no option serv: did you mean serve\?$/,
  ],
  [
    'an option given in both spellings',
    { file: 'numBlocks: 3\nnum-blocks: 4' },
    /^my\.yaml, line 2, num-blocks: the option stands here twice$/,
  ],
  [
    'a file that names another',
    { file: 'config: other.yaml' },
    /^my\.yaml, line 1, config: a file cannot name another$/,
  ],
  ['a file that is no map', { file: '- a\n- b' }, /^my\.yaml, line 1: expected options, one to a line/],
  ['a file that is no YAML', { file: 'threads: 1\nblocks: "0:4\n' }, /^my\.yaml, line \d: [^\n]+$/],
  ['a key that stands twice', { file: 'threads: 1\nthreads: 2' }, /^my\.yaml, line 2: Map keys must be unique/],
]

for (const [what, places, message] of refused) {
  test(`${what} is refused by place, name and value`, () => {
    assert.throws(
      () => read(places),
      (error) => error instanceof UsageError && (assert.match(error.message, message), true),
    )
  })
}

test('an error that names a flag later is told by the place of the value', () => {
  const given = choose(serveTable, [
    fromFlags(serveTable, { blocks: '3-6' }),
    fromEnvironment({ PETALS_BOOTSTRAP: 'x' }, serveTable, all),
    ...parseConfigFile('threads: 4', 'my.yaml', serveCommand, commands),
  ])
  const told = (message: string) => (nameSource(new UsageError(message), given) as Error).message
  assert.equal(told('--blocks 3-6: expected START:END'), '--blocks 3-6: expected START:END')
  assert.equal(told('--bootstrap: "x" is no multiaddr'), 'PETALS_BOOTSTRAP: "x" is no multiaddr')
  assert.equal(told('--bootstrap x: no multiaddr'), 'PETALS_BOOTSTRAP=x: no multiaddr')
  assert.equal(told('--threads 4: too many'), 'my.yaml, line 1, threads: 4: too many')
  assert.equal(told('--num-blocks 4: too many'), '--num-blocks 4: too many')
  assert.equal(told('something else'), 'something else')
})
