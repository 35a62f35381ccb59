import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { COMMANDS } from '../../../src/cli/commands.ts'
import { parseConfigFile } from '../../../src/cli/options/config-file.ts'
import { choose, readOptions } from '../../../src/cli/options/read-options.ts'
import { configurationPage } from '../../../src/cli/reference/configuration-page.ts'
import { completionScript } from '../../../src/cli/commands/completion/completion-script.ts'
import { EXIT_CODES } from '../../../src/cli/process/exit-codes.ts'
import { flagOf } from '../../../src/cli/options/option-table.ts'
import { ROOT, startProgram } from '../kit.ts'

const CONFIG = join(ROOT, 'config')

test('docs/configuration.md is what "npm run docs" writes', async () => {
  const page = configurationPage(COMMANDS)
  assert.equal(await readFile(join(ROOT, 'docs', 'configuration.md'), 'utf8'), page, 'run "npm run docs"')
  for (const { options } of COMMANDS)
    for (const name of Object.keys(options)) assert.ok(page.includes(`\`${flagOf(name)}\``), name)
  for (const code of Object.values(EXIT_CODES)) assert.match(page, new RegExp(`^\\| ${code} \\| \\w`, 'm'))
})

test('every option has a description that begins with a capital letter and ends without a full stop', () => {
  for (const { name, options } of COMMANDS) {
    for (const [option, { description, reason = 'Because' }] of Object.entries(options)) {
      for (const text of [description, reason]) assert.match(text, /^[A-Z0-9].*[^.]$/, `${name} ${option}`)
    }
  }
})

test('every example file is valid for every command, also with its commented options', async () => {
  const files = await readdir(CONFIG)
  assert.deepEqual(files.toSorted(), ['gpu-host.yaml', 'private-swarm.yaml', 'server.yaml'])
  for (const file of files) {
    const text = await readFile(join(CONFIG, file), 'utf8')
    for (const variant of [text, text.replaceAll(/^( *)#(?=\S)/gm, '$1')]) {
      for (const command of COMMANDS)
        readOptions(command.options, choose(command.options, parseConfigFile(variant, file, command, COMMANDS)))
    }
  }
})

/** What bash offers for the last of some words. */
async function complete(t: Parameters<typeof startProgram>[0], ...words: string[]): Promise<string[]> {
  const script =
    `${completionScript('bash', COMMANDS)}COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ` +
    `_petals_node; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { ended, out } = startProgram(t, 'bash', ['-c', script, 'bash', 'petals-node', ...words])
  assert.equal(await ended, 0, out.stderr)
  return out.stdout.trim().split('\n')
}

test('bash completes commands, options and choices', async (t) => {
  assert.deepEqual(await complete(t, 'ser'), ['serve'])
  assert.deepEqual(await complete(t, 'serve', '--dr'), ['--drain-timeout'])
  assert.deepEqual(await complete(t, 'serve', '--dtype', 'b'), ['bfloat16'])
  assert.deepEqual(await complete(t, 'serve', '--threads', ''), [''])
  assert.ok((await complete(t, 'generate', '--')).includes('--top-p'))
})

test('fish and zsh get scripts that know every command', () => {
  const fish = completionScript('fish', COMMANDS)
  for (const { name } of COMMANDS) assert.ok(fish.includes(`-a ${name} -d '`), name)
  assert.match(fish, /-n '__fish_seen_subcommand_from serve' -l dtype -x -a 'auto float32 float16 bfloat16' -d '/)
  assert.match(completionScript('zsh', COMMANDS), /^autoload -U \+X bashcompinit/)
})
