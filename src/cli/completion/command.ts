import { basename } from 'node:path'
import { defineCommand } from '../command.ts'
import { configOptions } from '../options/options.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
const ofUser = SHELLS.find((shell) => shell === basename(process.env['SHELL'] ?? '')) ?? 'bash'

export const completionCommand = defineCommand({
  name: 'completion',
  summary: 'Print a script that makes a shell complete commands, options and their values',
  options: {
    shell: {
      type: 'text',
      group: 'Output',
      choices: SHELLS,
      default: ofUser,
      defaultDescription: 'that of $SHELL, or bash',
      description: 'Which shell',
    },
    ...configOptions,
  },
  examples: [
    ['$0 completion >> ~/.bashrc', 'for bash or zsh (~/.zshrc), from the next shell on'],
    ['$0 completion --shell fish > ~/.config/fish/completions/petals-node.fish', 'for fish'],
  ],
  async run({ shell }) {
    const { completionScript } = await import('../reference/completion-script.ts')
    const { COMMANDS } = await import('../commands.ts')
    process.stdout.write(completionScript(shell as (typeof SHELLS)[number], COMMANDS))
  },
})
