import { UsageError, errorMessage } from '../../base/errors.ts'
import { defineCommand } from '../command.ts'
import { configOptions } from '../options/options.ts'

export const keygenCommand = defineCommand({
  name: 'keygen',
  summary: 'Make the key of a private swarm: nodes with another one, or none, cannot talk to those that have it',
  options: {
    out: {
      type: 'text',
      group: 'Output',
      isFile: true,
      defaultDescription: 'stdout',
      description: 'File to write the key into, which nobody else may read; one that exists is left alone',
    },
    ...configOptions,
  },
  examples: [
    ['$0 keygen --out swarm.key', 'then copy swarm.key to every machine, and give each node --swarm-key swarm.key'],
  ],
  async run({ out }) {
    const { generateSwarmKey } = await import('../../swarm/guards/swarm-key.ts')
    const key = generateSwarmKey()
    if (out === undefined) {
      process.stdout.write(key)
      return
    }
    const { writeFile } = await import('node:fs/promises')
    await writeFile(out, key, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
      throw new UsageError(`--out ${out}: ${errorMessage(error)}`, { cause: error })
    })
  },
})
