import { defineCommand } from '../command.ts'
import { inviteOptions } from './options.ts'

export const inviteCommand = defineCommand({
  name: 'invite',
  summary: 'Print a join token: addresses of a swarm and its key as one word, to be given to --bootstrap',
  options: inviteOptions,
  examples: [
    ['$0 invite --bootstrap ADDR --bootstrap ADDR2', 'of an open swarm'],
    ['$0 invite --bootstrap ADDR --swarm-key swarm.key', 'of a private one: whoever sees the token is in'],
  ],
  run: async (values) => (await import('./run.ts')).runInvite(values),
})
