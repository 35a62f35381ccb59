/** highlight.js as a module of browsers: its package brings no types. */
declare module '@highlightjs/cdn-assets/es/core.min.js' {
  const highlighter: {
    getLanguage(name: string): object | undefined
    registerLanguage(name: string, definition: unknown): void
    highlight(code: string, options: { language: string; ignoreIllegals: boolean }): { readonly value: string }
  }
  export default highlighter
}
