import nextra from 'nextra';

const withNextra = nextra({ defaultShowCopyCode: true });

export default withNextra({
  output: 'export',
  images: { unoptimized: true },
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
});
