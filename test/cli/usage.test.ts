import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMMANDS } from '../../src/cli/commands.ts'
import { MAIN, SOURCES, run, startProgram } from './kit.ts'

const NOBODY = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWQDd7tHiyRav5mNNEFA74GGHGSEtgoUNBhJZkgQBCr4Jo'

const cases: [string, number, RegExp][] = [
  ['', 2, /no command given; there are demo, serve/],
  ['serv', 2, /no command "serv": did you mean serve\?/],
  ['--bogus', 2, /a command comes before its options/],
  ['serve --bloks 3:6', 2, /no option --bloks: did you mean --blocks\?\nSee: petals-node serve --help/],
  ['serve 3:6', 2, /unexpected "3:6"/],
  ['serve --threads', 2, /--threads needs a value/],
  ['serve --threads many', 2, /--threads many: expected a whole number/],
  ['serve --blocks 3-6', 2, /--blocks 3-6: expected START:END, like 0:8/],
  ['serve --blocks 6:12', 2, /--blocks 6:12: this model has blocks 0:8/],
  ['serve --device gpu', 2, /--device gpu: expected auto, cpu, cuda, cuda:N, webgpu or webgpu:N/],
  ['serve --listen here', 2, /--listen: "here" is no multiaddr/],
  [
    'serve --model no-such-folder',
    2,
    /the model "no-such-folder" is neither a folder that exists nor a name org\/name/,
  ],
  ['serve --model ./no-such-folder', 1, /no-such-folder is missing/],
  ['tokenize --model no-such.gguf x', 2, /GGUF files are not read/],
  ['generate --prompt a', 2, /which swarm\? Give --bootstrap/],
  ['generate', 2, /what should be continued\? Nothing came on stdin; or give --prompt TEXT/],
  ['generate --prompt a --prompt-ids 1', 2, /--prompt and --prompt-ids exclude each other/],
  ['serve --config no-such-file.yaml', 2, /--config no-such-file\.yaml: .*no such file/],
  ['completion tcsh', 2, /there is no script for tcsh; there are some for bash, zsh or fish/],
  ['completion --shell tcsh', 2, /--shell tcsh: expected bash, zsh or fish/],
  ['generate --prompt-ids 1,x', 2, /--prompt-ids 1,x: expected token ids/],
  ['status', 2, /which swarm\? Give --bootstrap/],
  [`status --bootstrap ${NOBODY}`, 3, /no bootstrap peer could be reached/],
]

for (const [line, code, message] of cases) {
  test(`"petals-node ${line}" says what is wrong and exits with ${code}`, async (t) => {
    const ended = await run(t, ...line.split(' ').filter((word) => word !== ''))
    assert.match(ended.stderr, message)
    assert.doesNotMatch(ended.stderr, /\n\s+at /, 'a stack')
    assert.equal(ended.stdout, '')
    assert.equal(ended.code, code)
  })
}

for (const [what, main] of [
  ['program', MAIN],
  ['program from its sources', SOURCES],
] as const)
  test(`help of the ${what} loads neither the network nor the runtime`, async (t) => {
    // A build's files say in comments what they hold.
    const hook = `import { registerHooks } from "node:module"
      const foreign = /node_modules.(@?libp2p|koffi|onnx|prom-client)/
      registerHooks({ load(url, context, next) {
        const loaded = next(url, context)
        const found = foreign.exec(url) ?? foreign.exec(String(loaded.source))
        if (found !== null) process.stderr.write("LOADED " + found[0] + " of " + url)
        return loaded
      } })`
    const hooked = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`]
    const { ended, out } = startProgram(t, process.execPath, [...hooked, main, 'serve', '--help'])
    assert.equal(await ended, 0)
    assert.equal(out.stderr, '')
    assert.match(out.stdout, /--drain-timeout/)
  })

test('every command has a summary and examples of itself', () => {
  for (const { name, summary, examples } of COMMANDS) {
    assert.ok(summary.length > 10, name)
    assert.ok(examples.length > 0 && examples.every(([line]) => line.startsWith(`$0 ${name}`)), name)
  }
})
