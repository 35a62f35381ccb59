import { defineCommand } from '../command.ts'
import { completionOptions } from './options.ts'

export const completionCommand = defineCommand({
  name: 'completion',
  summary: 'Print a script that makes a shell complete commands, options and their values',
  options: completionOptions,
  argument: 'shell',
  examples: [
    ['$0 completion >> ~/.bashrc', 'for bash or zsh (~/.zshrc), from the next shell on'],
    ['$0 completion fish > ~/.config/fish/completions/petals-node.fish', 'for fish'],
  ],
  run: async (values, context, argument) => (await import('./run.ts')).runCompletion(values, context, argument),
})
