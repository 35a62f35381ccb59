import { defineCommand } from '../command.ts'
import { doctorOptions } from './options.ts'

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'Check and explain what this machine can do, and how the swarm sees it',
  options: doctorOptions,
  examples: [
    ['$0 doctor', 'this machine: Node, runtime, CUDA, memory, disk'],
    ['$0 doctor --model org/name', 'how many of its blocks fit, before anything is downloaded'],
    ['$0 doctor --bootstrap ADDR --port 24640', 'also whether others can reach it'],
  ],
  run: async (values, context) => (await import('./run.ts')).runDoctor(values, context),
})
