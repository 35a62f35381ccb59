import { defineCommand } from '../command.ts'
import { verifyOptions } from './options.ts'

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'Compare what a swarm computes with a reference, at every place where the model can be cut',
  options: verifyOptions,
  examples: [
    ['$0 verify --model ./llama --golden ./llama/golden.safetensors', 'start servers for every cut and compare'],
    ['$0 verify --model ./llama --cuts 1,2 --json', 'one partition into 0:1, 1:2 and 2:N, for a script'],
    ['$0 verify --model ./llama --bootstrap /ip4/10.0.0.1/tcp/24640/p2p/12D3...', 'compare the servers of a swarm'],
  ],
  run: async (values, context) => (await import('./run.ts')).runVerify(values, context),
})
